"""How long to wait before trying again: exponential with full jitter, the random number handed in."""

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """Seconds: the first pause is below `base`, each next one may be twice as long, none is above `cap`."""

    base: float = 1.0
    cap: float = 60.0

    def pause(self, failures: int, chance: float) -> float:
        """The pause after `failures` in a row (from 1); `chance` is uniform in [0, 1)."""
        return chance * min(self.cap, self.base * 2.0 ** min(failures - 1, 32))
