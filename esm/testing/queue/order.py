"""The part of the queue suite for queues that keep order: groups, and what may not overtake what."""

# ruff: noqa: S101 -- assertions are what a test suite is made of

import asyncio
from collections.abc import Sequence

from esm.testing.queue.bench import PATIENCE, Harness, Rule, gather, ids, is_empty, opened


async def fills_a_page_with_a_group_in_order(harness: Harness) -> None:
    """One read may bring several messages of a group, in the order they were sent."""
    bench = await harness.queue(ordered=True)
    sent = await bench.send(4, "a")
    async with opened(bench.source) as reader:
        page = await reader.read(10, 5)
    assert ids(page.records) == list(sent)


async def keeps_the_order_of_each_group(harness: Harness) -> None:
    """Whatever the pages are, a group's records come in the order they were sent, under its key."""
    bench = await harness.queue(ordered=True)
    sent: dict[str, list[str]] = {"a": [], "b": []}
    for group in "abaabb":
        sent[group] += await bench.send(1, group)
    got: dict[str | None, list[str]] = {"a": [], "b": []}
    async with opened(bench.source) as reader, asyncio.timeout(PATIENCE):
        assert reader.ordered
        while sum(map(len, got.values())) < 6:
            records = (await reader.read(10, 5)).records
            assert [record.seq for record in records] == sorted(record.seq for record in records)
            for record in records:
                got[record.key].append(record.id)
            assert (await reader.settle(records, (), ())).deleted == len(records)
    assert got == sent


async def blocks_a_group_while_one_of_it_is_out(harness: Harness) -> None:
    """The next message of a group comes after the one before it is settled; other groups go on."""
    bench = await harness.queue(ordered=True, visibility=60)
    await bench.send(1, "a")
    async with opened(bench.source) as reader:
        (first,) = await gather(reader, 1)
        (second,) = await bench.send(1, "a")
        (other,) = await bench.send(1, "b")
        assert ids(await gather(reader, 1)) == [other]
        assert await is_empty(reader)
        await reader.settle((first,), (), ())
        assert ids(await gather(reader, 1)) == [second]


async def gives_a_group_back_in_order(harness: Harness) -> None:
    """What was not tried comes again in the same order."""
    bench = await harness.queue(ordered=True, visibility=60)
    sent = await bench.send(3, "a")
    got: list[str] = []
    async with opened(bench.source) as reader, asyncio.timeout(PATIENCE):
        await reader.settle((), (), (await reader.read(10, 5)).records)
        while len(got) < len(sent):
            records = (await reader.read(10, 5)).records
            got += ids(records)
            await reader.settle(records, (), ())
    assert got == list(sent)


async def brings_a_failed_message_before_the_rest_of_its_group(harness: Harness) -> None:
    """Order survives a failure, because the group stays blocked until the failed message is back."""
    bench = await harness.queue(ordered=True, visibility=2)
    sent = await bench.send(2, "a")
    async with opened(bench.source) as reader:
        (first,) = (await reader.read(1, 5)).records
        await reader.settle((), (first,), ())
        assert ids((await reader.read(1, 10)).records) == [sent[0]]


RULES: Sequence[Rule] = (
    fills_a_page_with_a_group_in_order,
    keeps_the_order_of_each_group,
    blocks_a_group_while_one_of_it_is_out,
    gives_a_group_back_in_order,
    brings_a_failed_message_before_the_rest_of_its_group,
)
