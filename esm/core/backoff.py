"""How long to wait before trying again: exponential with full jitter, the random number handed in."""

from dataclasses import dataclass

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """Seconds: the first pause is below `base`, each next one may be twice as long, none is above `cap`."""

    base: float = 1.0
    cap: float = 60.0

    def pause(self, failures: int, chance: float) -> float:
        """The pause after `failures` in a row (from 1); `chance` is uniform in [0, 1)."""
        return chance * min(self.cap, self.base * 2.0 ** min(failures - 1, 32))


@dataclass(slots=True)
class Failures:
    """How often in a row something has failed."""

    in_a_row: int = 0

    def another(self, backoff: Backoff, chance: float) -> float:
        """One more; returns the pause before the next try, in seconds, as `Backoff.pause`."""
        self.in_a_row += 1
        return backoff.pause(self.in_a_row, chance)

    def over(self) -> None:
        """It has gone well."""
        self.in_a_row = 0
