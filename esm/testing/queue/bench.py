"""What the rules of the queue suite are written with: the harness a server needs, and how to read in a test."""

# ruff: noqa: S101 -- assertions are what a test suite is made of

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from esm.model import Page, Record
from esm.ports import QueueReader, QueueSource

PATIENCE = 15.0


class Bench(Protocol):
    """A queue of the rule's own: its source, and the other end of it."""

    @property
    def source(self) -> QueueSource:
        """Reads the queue; may be opened several times."""

    async def send(self, count: int = 1, group: str | None = None) -> Sequence[str]:
        """Sends messages one after the other; returns the ids they will be read with."""


class Harness(Protocol):
    """A server under test."""

    async def queue(self, *, ordered: bool = False, visibility: int = 30) -> Bench:
        """An empty queue; `visibility` in seconds."""

    def missing(self) -> QueueSource:
        """A source whose queue does not exist."""


Rule = Callable[[Harness], Awaitable[None]]
"""One demand on a source: fails with an assertion where it is not met."""


@asynccontextmanager
async def opened(source: QueueSource) -> AsyncIterator[QueueReader]:
    """The reader of the only lane of a source."""
    lanes = source.lanes()
    (lane,) = await anext(aiter(lanes))
    async with source.open(lane) as reader:
        yield reader


async def gather(reader: QueueReader, count: int) -> list[Record]:
    """Reads until `count` records have come."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while len(records) < count:
            page = await reader.read(min(10, count - len(records)), 5)
            assert not page.rejected, "nothing here is too large"
            records += page.records
    return records


async def is_empty(reader: QueueReader, *, wait: float = 1) -> bool:
    """True if nothing can be read within `wait` seconds."""
    return await reader.read(10, wait) == Page()


def ids(records: Sequence[Record]) -> list[str]:
    """The ids in the given order."""
    return [record.id for record in records]


def now() -> float:
    """The clock of the running loop, real or virtual."""
    return asyncio.get_running_loop().time()
