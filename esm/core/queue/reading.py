"""Whether to read from a queue, how much, and with how many reads at once.

Nothing is read that could not be sent soon: credit is the room in slots that are free, or will be when the read
is back, less what is gathered and what open reads may still bring. Reads run in parallel only while they come back
full; an idle queue has one long poll open.
"""

from msgspec import Struct, structs

PATIENCE = 0.1
"""Seconds after which a small credit is used although a larger one would make a better read."""

_GATHERING = 0.01


def worth_a_read(page: int, capacity: int) -> int:
    """Records below which a credit is small: a page, or a quarter of what all slots together can hold."""
    return max(1, min(page, capacity // 4))


def ask(credit: int, *, page: int, capacity: int, small_for: float) -> int:
    """Records the next read should ask for, 0 for no read now.

    `page` is the most that a read may bring, `capacity` what all slots together can hold. A small credit
    (`worth_a_read`) must have stood for `PATIENCE` (`small_for` seconds so far): otherwise a busy queue would be
    read one message at a time.
    """
    if credit < worth_a_read(page, capacity) and small_for < PATIENCE:
        return 0
    return max(0, min(page, credit))


def ahead(capacity: int, read_takes: float, slot_takes: float) -> int:
    """Records to read although no slot is free: those that slots will take by the time they are here.

    `read_takes` is how long a read takes, `slot_takes` how long a batch keeps its slot, in seconds; 0 if nobody
    knows yet. Besides the read it counts the time in which slots that become free add up to one worth making.
    A function that works for a second is read ahead for by a hundredth of the capacity, one that works for a
    minute not at all.
    """
    if slot_takes <= 0.0:
        return 0
    return min(capacity, int(capacity * (read_takes + _GATHERING) / slot_takes))


class Pollers(Struct, frozen=True):
    """How many reads may be open at once."""

    minimum: int
    maximum: int
    wanted: int

    def full(self) -> "Pollers":
        """A read came back with all it asked for: there is more."""
        return structs.replace(self, wanted=min(self.maximum, self.wanted + 1))

    def short(self) -> "Pollers":
        """A read came back with less: one read fewer."""
        return structs.replace(self, wanted=max(self.minimum, self.wanted - 1))
