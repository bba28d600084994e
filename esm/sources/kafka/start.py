"""Where a partition begins that the group has no position for (D8, docs/decisions/0035-first-position.md).

LATEST and AT_TIMESTAMP are a time and the number of partitions there were then; both are written beside every
position that is committed. So a partition without a position, in a group that has others, either was there and
begins at that time, or was added later and begins at its beginning.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from esm.clients.kafka.asking import END, OLDEST
from esm.sources.begin import Begin, StartingPosition

_WRITTEN = re.compile(r"(?P<time>[0-9]{1,15})/(?P<partitions>[0-9]{1,9}) (?P<rest>.*)", re.DOTALL)
MARK_ROOM = 26
"""Characters that an origin takes at most."""


class Origin(Struct, frozen=True):
    """When the mapping began, in epoch milliseconds, and how many partitions there were."""

    time: int
    partitions: int

    def beside(self, text: str) -> str:
        """To be written with a position, before the rest of its text."""
        return f"{self.time}/{self.partitions} {text}"


def origin_of(begin: Begin, now: float, partitions: int) -> Origin | None:
    """At the first start of all, `now` in epoch seconds; None if it begins at the oldest records anyway."""
    if begin.position is StartingPosition.TRIM_HORIZON:
        return None
    return Origin(int(1000 * (now if begin.time is None else begin.time)), partitions)


def first_of(begin: Begin) -> int:
    """What is wanted of every partition at the first start of all."""
    match begin.position:
        case StartingPosition.TRIM_HORIZON:
            return OLDEST
        case StartingPosition.LATEST:
            return END
        case StartingPosition.AT_TIMESTAMP:
            return int(1000 * (begin.time or 0))


class Offsets(Protocol):
    """By partition, the offset that is wanted of it: OLDEST, END or a time; -1 for one that is later than all."""

    async def __call__(self, wanted: Mapping[int, int], /) -> Mapping[int, int]: ...


def later(partition: int, origin: Origin | None) -> int:
    """What is wanted of a partition without a position, in a group that has others."""
    if origin is None or partition >= origin.partitions:
        return OLDEST
    return origin.time


async def resolved(wanted: Mapping[int, int], offsets: Offsets) -> Mapping[int, int]:
    """By partition, an offset that is there: a time since which nothing was written is the end."""
    found = await offsets(wanted)
    at_end = {partition: END for partition, offset in found.items() if offset < 0}
    return {**found, **await offsets(at_end)} if at_end else found


def read_origin(texts: Iterable[str]) -> Origin | None:
    """What the positions of a group say of its beginning."""
    found = [match for text in texts if (match := _WRITTEN.fullmatch(text)) is not None]
    return Origin(int(found[0]["time"]), int(found[0]["partitions"])) if found else None


def without_origin(text: str) -> str:
    """The rest of what is written beside a position."""
    match = _WRITTEN.fullmatch(text)
    return text if match is None else match["rest"]
