"""How much of what waits fits into a batch, to the byte."""

from collections.abc import Iterable, Sequence
from itertools import islice

from esm.model import Record


def size(record: Record) -> int:
    """Bytes a record takes in a payload: its fragment and one separator."""
    return len(record.event) + 1


def fitting(waiting: Sequence[Record], limit: int, room: int) -> tuple[int, int]:
    """How many records from the front fit into `limit` records and `room` bytes, and their bytes."""
    front = [len(record.event) for record in islice(waiting, limit)]
    used = sum(front) + len(front)
    if used <= room:
        return len(front), used
    return _as_far_as_it_goes(front, room)


def _as_far_as_it_goes(lengths: Iterable[int], room: int) -> tuple[int, int]:
    count = used = 0
    for length in lengths:
        if used + length + 1 > room:
            break
        count += 1
        used += length + 1
    return count, used
