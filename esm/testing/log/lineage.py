"""The rules of the log suite about lanes that are split and merged."""

# ruff: noqa: S101 -- assertions are what a test suite is made of

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence

from esm.checkpoint import Start
from esm.model import Lane
from esm.testing.log.bench import PATIENCE, Harness, Reshaped, Rule, ids, lanes_of, last_page, only_lane


async def reads_a_closed_lane_to_its_end(harness: Harness) -> None:
    """It is no finished one: all that was put before is read, and then it says that it has ended, every time."""
    bench = await harness.log()
    if not isinstance(bench, Reshaped):
        return
    put = await bench.put(5)
    parent = await only_lane(bench.source)
    await bench.split()
    async with bench.source.open(parent, Start()) as reader:
        records, page = await last_page(reader)
        assert ids(records) == list(put)
        again = await reader.read(10, 0)
        assert again.ended
        assert not again.records
    async with bench.source.open(parent, records[-1].position) as reader:
        records, _ = await last_page(reader)
        assert not records
    if page.children is not None:
        assert {child.parents for child in page.children} == {(parent.name,)}
        assert {child.name for child in page.children} < {lane.name for lane in await lanes_of(bench.source)}


async def lists_children_with_their_parents(harness: Harness) -> None:
    """Closed lanes stay in the list while they hold records; a merged lane names both it came from."""
    bench = await harness.log()
    if not isinstance(bench, Reshaped):
        return
    parent = await only_lane(bench.source)
    await bench.split()
    listed = {lane.name: lane for lane in await lanes_of(bench.source)}
    assert parent.name in listed
    children = {lane.name for lane in listed.values() if lane.parents == (parent.name,)}
    assert len(children) == 2
    await bench.merge()
    listed = {lane.name: lane for lane in await lanes_of(bench.source)}
    assert {*children, parent.name} < set(listed)
    assert children in [set(lane.parents) for lane in listed.values()]


async def looks_for_children_when_a_lane_ends(harness: Harness) -> None:
    """Not only when the next audit of the list is due."""
    bench = await harness.log()
    if not isinstance(bench, Reshaped):
        return
    listing = aiter(bench.source.lanes())
    (parent,) = await anext(listing)
    async with bench.source.open(parent, Start()) as reader, asyncio.TaskGroup() as tasks:
        audit = tasks.create_task(_next(listing))
        await reader.read(10, 0)
        await bench.split()
        await last_page(reader)
        async with asyncio.timeout(PATIENCE):
            lanes = await audit
    assert [lane.parents for lane in lanes].count((parent.name,)) == 2


async def begins_children_at_their_beginning(harness: Harness) -> None:
    """Also for a mapping that began at the latest: they hold nothing older."""
    bench = await harness.log(latest=True)
    if not isinstance(bench, Reshaped):
        return
    start = await bench.source.begin()
    parent = await only_lane(bench.source)
    await bench.split()
    put = [id_ for key in ("a", "b", "c", "d") for id_ in await bench.put(1, key)]
    read: list[str] = []
    for lane in await lanes_of(bench.source):
        if lane != parent:
            async with bench.source.open(lane, start) as reader:
                page = await reader.read(10, 1)
                read += ids(page.records)
    assert sorted(read) == sorted(put)


async def _next(listing: AsyncIterator[Collection[Lane]]) -> Collection[Lane]:
    return await anext(listing)


RULES: Sequence[Rule] = (
    reads_a_closed_lane_to_its_end,
    lists_children_with_their_parents,
    looks_for_children_when_a_lane_ends,
    begins_children_at_their_beginning,
)
