"""What every `QueueSource` must do, as rules that run against any server, real or fake.

A harness makes fresh queues on the server under test; each rule is an async function over it and fails with an
assertion. Nothing waits for a fixed time: a rule waits for what must arrive, or lets a read prove that nothing
does.

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    async def test_contract(rule): await rule(MyHarness())
"""

# ruff: noqa: S101 -- assertions are what a test suite is made of

import asyncio
from collections.abc import Sequence

from esm.errors import Disconnected
from esm.model import Page, Record
from esm.ports import Measured
from esm.testing.queue import order
from esm.testing.queue.bench import PATIENCE, Harness, Rule, gather, ids, is_empty, now, opened

# Reading


async def brings_everything_once_and_numbers_it(harness: Harness) -> None:
    """Every message once, without a key, without gaps; the codec has a view, and its arithmetic is exact."""
    bench = await harness.queue()
    sent = await bench.send(12)
    async with opened(bench.source) as reader:
        records = await gather(reader, 12)
    assert sorted(ids(records)) == sorted(sent)
    assert not reader.ordered
    assert {record.key for record in records} == {None}
    first = records[0].seq
    assert sorted(record.seq for record in records) == list(range(first, first + 12))
    codec = bench.source.codec
    event = codec.render(records)
    assert len(event) == codec.frame + sum(len(record.event) for record in records) + len(records) - 1
    assert event == codec.render(records)
    assert isinstance(codec.view(records[0]), dict)


async def returns_no_more_than_asked(harness: Harness) -> None:
    """A limit is a limit, because room was reserved for that many."""
    bench = await harness.queue()
    await bench.send(8)
    async with opened(bench.source) as reader:
        page = await reader.read(3, 5)
    assert 1 <= len(page.records) <= 3


async def gives_an_empty_page_when_nothing_comes(harness: Harness) -> None:
    """After the wait, not much later."""
    bench = await harness.queue()
    async with opened(bench.source) as reader:
        began = now()
        assert await reader.read(10, 1) == Page()
        assert now() - began < 4


async def wakes_up_when_a_message_arrives(harness: Harness) -> None:
    """A long poll returns with the message, not at its end."""
    bench = await harness.queue()
    async with opened(bench.source) as reader:
        await reader.read(1, 0)
        began = now()
        async with asyncio.TaskGroup() as tasks:
            poll = tasks.create_task(reader.read(10, 20))
            await asyncio.sleep(0.2)  # lets the poll begin; if it has not, the rule holds all the same
            (sent,) = await bench.send()
        assert ids(poll.result().records) == [sent]
        assert now() - began < 10


async def reads_in_parallel_without_overlap(harness: Harness) -> None:
    """What one read brings, no other does; numbers stay unique over all of them."""
    bench = await harness.queue()
    sent = await bench.send(30)
    records: list[Record] = []
    async with opened(bench.source) as reader, asyncio.timeout(PATIENCE):
        while len(records) < len(sent):
            async with asyncio.TaskGroup() as tasks:
                polls = [tasks.create_task(reader.read(10, 1)) for _ in range(4)]
            records += [record for poll in polls for record in poll.result().records]
    assert sorted(ids(records)) == sorted(sent)
    first = min(record.seq for record in records)
    assert sorted(record.seq for record in records) == list(range(first, first + 30))


async def tells_its_terms(harness: Harness) -> None:
    """The queue's own visibility timeout, and limits that make sense beside it."""
    bench = await harness.queue(visibility=7)
    async with opened(bench.source) as reader:
        terms = reader.terms
    assert terms.visibility == 7
    assert terms.longest >= terms.visibility
    assert terms.retention > 0
    assert terms.page >= 1


async def tells_how_much_waits(harness: Harness) -> None:
    """If it is `Measured`: what is visible and what is in flight."""
    bench = await harness.queue()
    await bench.send(5)
    async with opened(bench.source) as reader:
        if isinstance(reader, Measured):
            await gather(reader, 2)
            backlog = await reader.backlog()
            assert backlog.visible in {None, 3}
            assert backlog.in_flight in {None, 2}


async def reports_a_missing_queue(harness: Harness) -> None:
    """Opening says so, as something that lasts."""
    problem: Disconnected | None = None
    try:
        async with opened(harness.missing()):
            pass
    except Disconnected as raised:
        problem = raised
    assert problem is not None, "a queue that does not exist was opened"
    assert problem.code == "NonExistentQueue"
    assert problem.lasting


# Settling


async def deletes_what_is_done(harness: Harness) -> None:
    """More than fits into one call; nothing of it comes back after the visibility timeout."""
    bench = await harness.queue(visibility=2)
    await bench.send(23)
    async with opened(bench.source) as reader:
        records = await gather(reader, 23)
        settlement = await reader.settle(records, (), ())
        assert settlement.deleted == 23
        assert settlement.undeleted == ()
        assert await is_empty(reader, wait=4)


async def leaves_what_failed_to_the_visibility_timeout(harness: Harness) -> None:
    """It comes back with the same id and a new number: not before its time."""
    bench = await harness.queue(visibility=3)
    await bench.send()
    async with opened(bench.source) as reader:
        (record,) = await gather(reader, 1)
        began = now()
        await reader.settle((), (record,), ())
        (again,) = await gather(reader, 1)
        assert now() - began > 1.5
    assert again.id == record.id
    assert again.arrived == record.arrived
    assert again.seq == record.seq + 1


async def gives_back_what_was_not_tried(harness: Harness) -> None:
    """At once, whatever the visibility timeout; more than fits into one call."""
    bench = await harness.queue(visibility=60)
    await bench.send(12)
    async with opened(bench.source) as reader:
        records = await gather(reader, 12)
        await reader.settle((), (), records)
        again = await gather(reader, 12)
    assert sorted(ids(again)) == sorted(ids(records))


async def settles_three_fates_at_once(harness: Harness) -> None:
    """Each record has its own."""
    bench = await harness.queue(visibility=60)
    await bench.send(3)
    async with opened(bench.source) as reader:
        done, failed, untried = await gather(reader, 3)
        settlement = await reader.settle((done,), (failed,), (untried,))
        assert settlement.deleted == 1
        assert ids(await gather(reader, 1)) == [untried.id]
        assert await is_empty(reader)


async def survives_deleting_what_is_gone(harness: Harness) -> None:
    """The record is accounted for, as deleted or as not; others are deleted all the same."""
    bench = await harness.queue(visibility=60)
    await bench.send(2)
    async with opened(bench.source) as reader:
        gone, there = await gather(reader, 2)
        await reader.settle((gone,), (), ())
        settlement = await reader.settle((gone, there), (), ())
        assert settlement.deleted + len(settlement.undeleted) == 2
        assert there.id not in ids(settlement.undeleted)


# Keeping


async def keeps_what_is_extended(harness: Harness) -> None:
    """Past the visibility timeout, more than fits into one call, and it can be deleted then."""
    bench = await harness.queue(visibility=2)
    await bench.send(12)
    async with opened(bench.source) as reader:
        records = await gather(reader, 12)
        assert not await reader.extend(records, 30)
        assert await is_empty(reader, wait=4)
        assert (await reader.settle(records, (), ())).deleted == 12


async def tells_what_is_no_longer_ours(harness: Harness) -> None:
    """A deleted message cannot be kept; the others are."""
    bench = await harness.queue(visibility=2)
    await bench.send(3)
    async with opened(bench.source) as reader:
        records = await gather(reader, 3)
        await reader.settle(records[:1], (), ())
        lost = await reader.extend(records, 30)
        assert ids(list(lost)) == [records[0].id]
        assert await is_empty(reader, wait=4)


async def extends_by_the_receipt_of_the_last_read(harness: Harness) -> None:
    """A message that came back and was read again is kept by its newer receipt."""
    bench = await harness.queue(visibility=2)
    await bench.send()
    async with opened(bench.source) as reader:
        await gather(reader, 1)
        (again,) = await gather(reader, 1)
        assert not await reader.extend((again,), 30)
        assert await is_empty(reader, wait=4)


RULES: Sequence[Rule] = (
    brings_everything_once_and_numbers_it,
    returns_no_more_than_asked,
    gives_an_empty_page_when_nothing_comes,
    wakes_up_when_a_message_arrives,
    reads_in_parallel_without_overlap,
    tells_its_terms,
    tells_how_much_waits,
    reports_a_missing_queue,
    deletes_what_is_done,
    leaves_what_failed_to_the_visibility_timeout,
    gives_back_what_was_not_tried,
    settles_three_fates_at_once,
    survives_deleting_what_is_gone,
    keeps_what_is_extended,
    tells_what_is_no_longer_ours,
    extends_by_the_receipt_of_the_last_read,
    *order.RULES,
)
