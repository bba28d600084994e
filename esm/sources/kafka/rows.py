"""The rows of our partitions: committed offsets with a text beside each. A `LaneStore`, fenced by the group.

The group's positions are read once for each assignment. From then on nobody else may write them: a commit of ours
that comes too late is refused by the group's coordinator.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import count

from confluent_kafka import TopicPartition

from esm.checkpoint import LaneRow
from esm.clients.kafka.asking import Committed
from esm.core.log.packing import ROOM, Newer, pack, unpack
from esm.errors import Disconnected, LostLease, StoreFailed
from esm.sources.kafka.beginnings import Beginnings
from esm.sources.kafka.commits import TooMuchText, Unanswered
from esm.sources.kafka.event import lane_name, partition_of
from esm.sources.kafka.start import MARK_ROOM, without_origin

_TRIES = 5
_PAUSE = 0.3
_LEAST_ROOM = 256

Commit = Callable[[TopicPartition], Awaitable[None]]
"""Commits durably. Raises `StoreFailed`, `LostLease`."""


class GroupRows:
    """Of the partitions that are `ours` at the time.

    `made_anew` are those that were deleted and made again: what was in them is lost, and nobody was told yet.
    """

    def __init__(self, beginnings: Beginnings, commit: Commit) -> None:
        self.made_anew: set[str] = set()
        self._beginnings = beginnings
        self._commit = commit
        self._ours: dict[str, int] = {}
        self._tenures = count()
        self._rows: dict[str, LaneRow] = {}
        self._looking = asyncio.Lock()
        self._room = ROOM

    def gained(self, lanes: Collection[str]) -> None:
        """They are ours; what their rows are is asked when it is wanted, also of those that we had before."""
        self._begin(lanes)

    def left(self, lanes: Collection[str]) -> None:
        """They are not ours any more."""
        for lane in lanes:
            self._ours.pop(lane, None)
            self._rows.pop(lane, None)

    def begin_anew(self, lane: str, offset: int) -> None:
        """What the group has for it is of another partition that had this name."""
        self.made_anew.add(lane)
        self._begin([lane])
        self._beginnings.displace(partition_of(lane), offset)

    async def view(self, scope: str) -> Collection[LaneRow]:
        """The rows of all partitions that are ours. Raises `StoreFailed`."""
        async with self._looking:
            while asked := {lane: tenure for lane, tenure in self._ours.items() if lane not in self._rows}:
                found = await self._find(scope, asked)
                known = {lane: row for lane, row in found.items() if self._ours.get(lane) == asked[lane]}
                self._rows.update(known)
        return [row for lane, row in self._rows.items() if lane in self._ours]

    async def swap(self, old: LaneRow | None, new: LaneRow) -> bool:
        """Raises `StoreFailed`, `LostLease`."""
        lane = new.lane
        for last in (*[False] * (_TRIES - 1), True):
            if (tenure := self._ours.get(lane)) is None:
                raise LostLease(f"{lane} is not ours any more")
            if old is None or self._rows.get(lane) != old:  # a lane of a group has a row from its beginning
                return False
            try:
                await self._commit(self._place(new))
            except TooMuchText:
                self._room = max(_LEAST_ROOM, self._room // 2)
                if last:
                    raise
            except Unanswered:
                raise
            except (LostLease, StoreFailed):
                if last:
                    raise
                await asyncio.sleep(_PAUSE)  # while partitions are being shared out anew
            else:
                self._took(new, tenure)
                return True
        raise AssertionError

    async def forget(self, row: LaneRow) -> bool:
        """A group forgets by itself, a week after its last commit unless the brokers are told otherwise."""
        return row.lane not in self._ours

    def _begin(self, lanes: Collection[str]) -> None:
        """A tenure of ours: what was asked or written before it says nothing of it."""
        self._ours.update(dict.fromkeys(lanes, next(self._tenures)))
        for lane in lanes:
            self._rows.pop(lane, None)

    def _took(self, row: LaneRow, tenure: int) -> None:
        if self._ours.get(row.lane) == tenure:
            self._rows[row.lane] = row
            self._beginnings.has_begun(partition_of(row.lane))

    def _place(self, row: LaneRow) -> TopicPartition:
        """Raises `StoreFailed` where brokers keep less than what is failing takes."""
        at = row.checkpoint.at if row.checkpoint is not None else None
        try:
            text = self._beginnings.beside(pack(row, self._room - MARK_ROOM))
        except ValueError as problem:
            raise StoreFailed(f"{problem}: set offset.metadata.max.bytes of the brokers to {ROOM}") from None
        return TopicPartition(self._beginnings.topic, partition_of(row.lane), 0 if at is None else at + 1, text)

    async def _find(self, scope: str, lanes: Collection[str]) -> Mapping[str, LaneRow]:
        try:
            places, anew = await self._beginnings.find({partition_of(lane) for lane in lanes})
        except Disconnected as problem:
            raise StoreFailed(str(problem)) from None
        self.made_anew |= lanes_of(self._beginnings.topic, anew)
        return {lane: _row(scope, lane, places[partition_of(lane)]) for lane in lanes}


def _row(scope: str, lane: str, committed: Committed) -> LaneRow:
    row = unpack(without_origin(committed.metadata), scope, lane, committed.offset - 1)
    if isinstance(row, Newer):
        raise StoreFailed(
            f"the position of {lane} was written by a newer version, in format {row.format}: run that one"
        )
    return row


def lanes_of(topic: str, partitions: Collection[int]) -> frozenset[str]:
    """By their names."""
    return frozenset(lane_name(topic, number) for number in partitions)
