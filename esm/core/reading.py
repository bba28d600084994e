"""Whether to read from a queue, how much, and with how many reads at once.

Nothing is read that could not be sent soon: credit is the room in free slots, less what is gathered and what
open reads may still bring. Reads run in parallel only while they come back full; an idle queue has one long
poll open.
"""

from msgspec import Struct, structs

PATIENCE = 0.1
"""Seconds after which a small credit is used although a larger one would make a better read."""


def ask(credit: int, *, batch_size: int, page: int, capacity: int, small_for: float) -> int:
    """Records the next read should ask for, 0 for no read now.

    `capacity` is what all slots together can hold. A credit that is small beside `page` and a quarter of the
    capacity must have stood for `PATIENCE` (`small_for` seconds so far): otherwise a busy queue would be read
    one message at a time.
    """
    if credit < min(page, capacity / 4) and small_for < PATIENCE:
        return 0
    return max(0, min(page, batch_size, credit))


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
