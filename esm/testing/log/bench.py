"""What the rules of the log suite are written with: the harness a server needs, and how to read in a test."""

# ruff: noqa: S101 -- assertions are what a test suite is made of

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from esm.checkpoint import Start
from esm.model import Lane, LogPage, Record
from esm.ports import LogReader, LogSource

PATIENCE = 20.0


class Bench(Protocol):
    """A log of the rule's own, which has one lane: its source, and the other end of it."""

    @property
    def source(self) -> LogSource:
        """Reads the log; its lanes may be opened several times."""

    async def put(self, count: int = 1, key: str = "k") -> Sequence[str]:
        """Adds records one after the other; returns the ids they will be read with, in order."""


class Harness(Protocol):
    """A server under test."""

    async def log(self, *, latest: bool = False) -> Bench:
        """An empty log; the source begins at its oldest record, or with `latest` at what comes from now on."""

    def missing(self) -> LogSource:
        """A source whose log does not exist."""


@runtime_checkable
class Reshaped(Protocol):
    """A bench whose lanes can be cut in two and put together again."""

    async def split(self) -> None:
        """The only lane is closed, two go on for it."""

    async def merge(self) -> None:
        """The two lanes that are open are closed, one goes on for both."""


@runtime_checkable
class Aged(Protocol):
    """A bench that can let time pass."""

    async def trim(self, count: int) -> None:
        """The oldest `count` records of each lane are gone, as they are when their retention ends."""

    async def expire(self) -> None:
        """Whatever the server remembers of a reader for a while is forgotten."""


Rule = Callable[[Harness], Awaitable[None]]
"""One demand on a source: fails with an assertion where it is not met."""


class Filled:
    """A bench, and the ids of what was put into it."""

    def __init__(self, bench: Bench, put: Sequence[str]) -> None:
        self.bench = bench
        self.source = bench.source
        self.put = bench.put
        self.ids = list(put)


async def filled(harness: Harness, count: int) -> tuple[Filled, AbstractAsyncContextManager[LogReader]]:
    """A new log with `count` records, and its only lane opened at the oldest of them."""
    bench = await harness.log()
    put = await bench.put(count) if count else ()
    return Filled(bench, put), bench.source.open(await only_lane(bench.source), Start())


async def lanes_of(source: LogSource) -> list[Lane]:
    """All lanes as they are now."""
    async with asyncio.timeout(PATIENCE):
        return list(await anext(aiter(source.lanes())))


async def only_lane(source: LogSource) -> Lane:
    """Of a log that has one."""
    (lane,) = await lanes_of(source)
    return lane


async def gather(reader: LogReader, count: int) -> list[Record]:
    """Reads until `count` records have come; none may be lost or rejected."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while len(records) < count:
            page = await reader.read(count - len(records), 1)
            assert not page.rejected, "nothing here is too large"
            assert page.lost == 0, "nothing here was trimmed"
            assert page.records or not page.ended, f"the lane ended after {len(records)} of {count} records"
            records += page.records
    return records


async def last_page(reader: LogReader) -> tuple[list[Record], LogPage]:
    """Reads to the end of the lane: all records, and the page that says that it was the end."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while True:
            page = await reader.read(1000, 1)
            records += page.records
            if page.ended:
                return records, page


def ids(records: Sequence[Record]) -> list[str]:
    """The ids in the given order."""
    return [record.id for record in records]


def now() -> float:
    """The clock of the running loop, real or virtual."""
    return asyncio.get_running_loop().time()
