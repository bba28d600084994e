"""What the rules of the group suite are written with: the harness a server needs, and a member under test."""

# ruff: noqa: S101 -- assertions are what a test suite is made of

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from esm.checkpoint import Checkpoint, LaneRow
from esm.model import Lane, Record
from esm.ports import GroupSource, LogReader, Membership
from esm.testing.log.bench import gather

PATIENCE = 60.0
SCOPE = "contract"


class GroupBench(Protocol):
    """A topic and a group of the rule's own."""

    @property
    def lanes(self) -> Sequence[str]:
        """The names of its partitions."""

    def source(self, *, latest: bool = False) -> GroupSource:
        """One more member of the group; it begins at the oldest records, or with `latest` at what comes."""

    async def put(self, lane: str, count: int = 1) -> Sequence[str]:
        """Adds records to a partition one after the other; returns the ids they will be read with, in order."""

    async def trim(self, lane: str, count: int) -> None:
        """The oldest `count` records of a partition are gone."""

    async def add(self) -> str:
        """One partition more; returns its name."""

    async def write_text(self, lane: str, offset: int, text: str) -> None:
        """Somebody sets the group's offset with a tool of his own; only while the group has no members."""

    async def take_for_dead(self, source: GroupSource) -> None:
        """The coordinator hears nothing of this member for longer than it waits, and gives its lanes to others.

        Returns when it has.
        """


class GroupHarness(Protocol):
    """A server under test."""

    async def group(self, lanes: int = 1) -> GroupBench:
        """An empty topic with so many partitions, and a new group."""

    def missing(self) -> GroupSource:
        """A member whose topic does not exist."""


GroupRule = Callable[[GroupHarness], Awaitable[None]]
"""One demand on a source: fails with an assertion where it is not met."""


class Joined:
    """A member as the engine would be one: applies each set, and knows the latest."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.sets: list[frozenset[str]] = []
        self.leaves: Callable[[Collection[str]], Awaitable[None]] = _at_once
        self._changed = asyncio.Event()

    @property
    def lanes(self) -> frozenset[str]:
        """Those of the set that was told last."""
        return self.sets[-1] if self.sets else frozenset()

    async def follow(self) -> None:
        """Until cancelled."""
        async for lanes in self.membership.lanes():
            names = frozenset(lane.name for lane in lanes)
            gone = self.lanes - names
            self.sets.append(names)
            self._changed.set()
            self._changed = asyncio.Event()
            if gone:
                await self.leaves(gone)

    async def has(self, count: int) -> frozenset[str]:
        """Waits until that many lanes are ours."""
        async with asyncio.timeout(PATIENCE):
            while len(self.lanes) != count:
                await self._changed.wait()
        return self.lanes

    async def told(self, more: int) -> None:
        """Waits until there have been so many sets."""
        async with asyncio.timeout(PATIENCE):
            while len(self.sets) < more:
                await self._changed.wait()

    async def take(self, lane: str) -> LaneRow:
        """The lane's row, taken as the engine does."""
        old = await self.row(lane)
        found = old.checkpoint or Checkpoint()
        new = LaneRow(SCOPE, lane, f"owner-{id(self)}", old.epoch + 1, 0, None, Checkpoint(found.at, clean=False))
        assert await self.membership.rows.swap(old, new), "nobody else writes it"
        return new

    async def row(self, lane: str) -> LaneRow:
        """As the group has it."""
        (row,) = [row for row in await self.membership.rows.view(SCOPE) if row.lane == lane]
        return row

    async def commit(self, row: LaneRow, checkpoint: Checkpoint) -> LaneRow:
        """The next write of a row."""
        new = LaneRow(row.scope, row.lane, row.owner, row.epoch, row.counter + 1, row.start, checkpoint)
        assert await self.membership.rows.swap(row, new), "nobody else writes it"
        return new

    async def read(self, row: LaneRow, count: int) -> list[Record]:
        """The records behind what the row says."""
        async with self.opened(row) as reader:
            return await gather(reader, count)

    @asynccontextmanager
    async def opened(self, row: LaneRow) -> AsyncIterator[LogReader]:
        """Its lane, behind what it says."""
        assert row.checkpoint is not None
        async with self.membership.open(Lane(row.lane), row.checkpoint.at) as reader:
            yield reader


@asynccontextmanager
async def joined(source: GroupSource) -> AsyncIterator[Joined]:
    """A member of the group, until the block ends."""
    async with AsyncExitStack() as stack:
        member = Joined(await stack.enter_async_context(source.join()))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        following = tasks.create_task(member.follow())
        try:
            yield member
        finally:
            following.cancel()


async def _at_once(_: Collection[str]) -> None:
    """There is nothing to drain."""
