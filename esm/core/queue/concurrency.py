"""How many batches of a queue may be in flight: the smaller of two limits that move for different reasons.

`Scale` follows the backlog: it starts small, grows while reads come back full and every slot is taken, and
halves after a minute without backlog. `Health` follows the function: halved when it fails, at most once per
round of invocations, and won back one slot per round of successes. AWS does both and documents neither curve
(Lambda guide, "Configuring scaling behavior for SQS event source mappings").
"""

from msgspec import Struct, structs

_QUIET = 60.0


class Scale(Struct, frozen=True):
    """The backlog's limit. `since` is when there was backlog last, in monotonic seconds."""

    floor: int
    ceiling: int
    limit: int
    since: float

    def scarce(self, now: float) -> "Scale":
        """A read came back full, and every slot is spoken for: the limit grows by half, at least by one."""
        grown = self.limit + max(1, self.limit // 2)
        return structs.replace(self, limit=min(self.ceiling, grown), since=now)

    def busy(self, now: float) -> "Scale":
        """A read came back full; there are slots left for what it brought."""
        return structs.replace(self, since=now)

    def quiet(self, now: float) -> "Scale":
        """A read came back without backlog."""
        if now - self.since < _QUIET:
            return self
        return structs.replace(self, limit=max(self.floor, self.limit // 2), since=now)


class Health(Struct, frozen=True):
    """The function's limit, between 1 and `ceiling`; `cut_at` is when it was last halved."""

    ceiling: int
    limit: float
    cut_at: float = float("-inf")

    def failed(self, started: float, now: float, effective: int) -> "Health":
        """An invocation that began at `started` failed; one that began before the last cut says nothing new."""
        if started < self.cut_at:
            return self
        return structs.replace(self, limit=max(1.0, min(self.limit, effective) / 2), cut_at=now)

    def succeeded(self) -> "Health":
        """One success: a whole round of them wins one slot back."""
        if self.limit >= self.ceiling:
            return self
        return structs.replace(self, limit=min(float(self.ceiling), self.limit + 1 / self.limit))


def scale_from(start: int, ceiling: int, now: float) -> Scale:
    """The scale of a mapping that has just started."""
    floor = min(start, ceiling)
    return Scale(floor=floor, ceiling=ceiling, limit=floor, since=now)


def health_of(ceiling: int) -> Health:
    """The health of a function that has not failed yet."""
    return Health(ceiling=ceiling, limit=float(ceiling))


def effective(scale: Scale, health: Health) -> int:
    """Batches that may be in flight now; never below 1."""
    return max(1, min(scale.limit, int(health.limit)))


def smoothed(before: float, latest: float) -> float:
    """A duration that follows what is measured, the latest by a tenth; `before` is 0 if there was none."""
    return before + (latest - before) * 0.1 if before else latest
