"""Watching which shards a stream has: rarely, but at once where one has ended."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from itertools import pairwise

from shard_script import a_world, now

from esm.model import Lane
from esm.sources.shards import Listing
from esm.testing.loop import run

PARENT = Lane("p")
CHILDREN = (Lane("a", ("p",)), Lane("b", ("p",)))


class Stream:
    """What `ask` tells, when it was asked, and what the listing yielded."""

    def __init__(self, *lanes: Lane) -> None:
        self.lanes: Collection[Lane] = lanes
        self.asked: list[float] = []
        self.told: list[tuple[float, Collection[Lane]]] = []
        self.listing = Listing(self._ask, a_world())

    async def _ask(self) -> Collection[Lane]:
        self.asked.append(now())
        await asyncio.sleep(0.01)
        return self.lanes

    async def follow(self) -> None:
        async for lanes in self.listing.lanes():
            self.told.append((now(), lanes))


def following(stream: Stream, script: Callable[[Stream], Awaitable[None]]) -> Stream:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(stream.follow())
            await script(stream)
            task.cancel()

    run(main())
    return stream


def test_an_audit_is_made_about_once_a_minute() -> None:
    async def an_hour(_: Stream) -> None:
        await asyncio.sleep(3600)

    stream = following(Stream(PARENT), an_hour)
    assert 50 <= len(stream.asked) <= 76
    gaps = [later - earlier for earlier, later in pairwise(stream.asked)]
    assert len({round(gap, 3) for gap in gaps}) > 20, "all mappings would ask at the same moment"
    assert [lanes for _, lanes in stream.told] == [(PARENT,)]


def test_an_audit_finds_what_nobody_told() -> None:
    async def a_split(stream: Stream) -> None:
        await asyncio.sleep(10)
        stream.lanes = (PARENT, *CHILDREN)
        await asyncio.sleep(90)

    stream = following(Stream(PARENT), a_split)
    assert [lanes for _, lanes in stream.told] == [(PARENT,), (PARENT, *CHILDREN)]


def test_children_are_looked_for_when_a_shard_ends() -> None:
    async def an_end(stream: Stream) -> None:
        await asyncio.sleep(10)
        stream.lanes = (PARENT, *CHILDREN)
        stream.listing.ended("p")
        await asyncio.sleep(1)

    stream = following(Stream(PARENT), an_end)
    assert len(stream.told) == 2
    assert stream.told[1][0] < 10.1


def test_children_that_are_late_are_looked_for_again_and_again_but_ever_more_rarely() -> None:
    async def a_late_listing(stream: Stream) -> None:
        await asyncio.sleep(10)
        stream.listing.ended("p")
        await asyncio.sleep(12)
        stream.lanes = (PARENT, *CHILDREN)
        await asyncio.sleep(30)

    stream = following(Stream(PARENT), a_late_listing)
    assert len(stream.told) == 2
    assert stream.told[1][0] < 30
    assert len(stream.asked) <= 8


def test_children_that_never_come_are_no_reason_to_ask_more_than_an_audit_does() -> None:
    async def a_stream_that_is_deleted(stream: Stream) -> None:
        await asyncio.sleep(10)
        stream.listing.ended("p")
        await asyncio.sleep(3600)

    stream = following(Stream(PARENT), a_stream_that_is_deleted)
    assert len(stream.asked) <= 85


def test_the_end_of_a_shard_whose_children_are_known_asks_nothing() -> None:
    async def an_end(stream: Stream) -> None:
        await asyncio.sleep(1)
        stream.listing.ended("p")
        await asyncio.sleep(10)

    assert len(following(Stream(PARENT, *CHILDREN), an_end).asked) == 1


def test_many_ends_are_few_questions() -> None:
    parents = [Lane(f"p{number}") for number in range(500)]

    async def a_resharding(stream: Stream) -> None:
        await asyncio.sleep(10)
        for lane in parents:
            stream.lanes = (*stream.lanes, Lane(f"c{lane.name}", (lane.name,)))
            stream.listing.ended(lane.name)
            await asyncio.sleep(0.001)
        await asyncio.sleep(10)

    assert len(following(Stream(*parents), a_resharding).asked) <= 3


def test_nobody_looks_for_the_children_of_a_shard_that_is_not_listed_any_more() -> None:
    async def gone(stream: Stream) -> None:
        await asyncio.sleep(10)
        stream.lanes = (Lane("other"),)
        stream.listing.ended("p")
        await asyncio.sleep(40)

    assert len(following(Stream(PARENT), gone).asked) == 2
