"""Where a partition begins that the group has no position for (D8, docs/decisions/0035-first-position.md).

LATEST and AT_TIMESTAMP are a time and the number of partitions there were then; both are written beside every
position that is committed. So a partition without a position, in a group that has others, either was there and
begins at that time, or was added later and begins at its beginning.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from esm.clients.kafka.asking import END, OLDEST

_WRITTEN = re.compile(r"(?P<time>[0-9]{1,15})/(?P<partitions>[0-9]{1,9}) (?P<rest>.*)", re.DOTALL)
MARK_ROOM = 26
"""Characters that an origin takes at most."""


class StartingPosition(StrEnum):
    """What a topic can begin at, in AWS's words."""

    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"
    AT_TIMESTAMP = "AT_TIMESTAMP"


class Origin(Struct, frozen=True):
    """When the mapping began, in epoch milliseconds, and how many partitions there were."""

    time: int
    partitions: int

    def beside(self, text: str) -> str:
        """To be written with a position, before the rest of its text."""
        return f"{self.time}/{self.partitions} {text}"


class Begin(Struct, frozen=True):
    """A position, with a time in epoch seconds where it is AT_TIMESTAMP."""

    position: StartingPosition
    time: float | None = None

    def origin(self, now: float, partitions: int) -> Origin | None:
        """At the first start of all; None if the mapping begins at the oldest records anyway."""
        if self.position is StartingPosition.TRIM_HORIZON:
            return None
        return Origin(int(1000 * (now if self.time is None else self.time)), partitions)

    @property
    def first(self) -> int:
        """What is wanted of every partition at the first start of all."""
        match self.position:
            case StartingPosition.TRIM_HORIZON:
                return OLDEST
            case StartingPosition.LATEST:
                return END
            case StartingPosition.AT_TIMESTAMP:
                return int(1000 * (self.time or 0))


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


def begin_at(position: str | None, time: float | None) -> Begin:
    """Raises ValueError, with a text for people, for what makes no sense on a topic."""
    if position not in list(StartingPosition):
        allowed = ", ".join(StartingPosition)
        raise ValueError(f"a topic needs a starting_position of {allowed}")
    if position == StartingPosition.AT_TIMESTAMP and time is None:
        raise ValueError(
            "starting_position AT_TIMESTAMP needs starting_position_timestamp: epoch seconds, or text such as "
            "2026-01-31T08:00:00Z"
        )
    if position != StartingPosition.AT_TIMESTAMP and time is not None:
        raise ValueError("starting_position_timestamp goes with starting_position AT_TIMESTAMP, and only with it")
    return Begin(StartingPosition(position), time)
