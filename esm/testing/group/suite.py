"""What every `GroupSource` must do, as rules that run against any server, real or fake.

A harness makes fresh topics and groups on the server under test; each rule is an async function over it and fails
with an assertion.

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    async def test_contract(rule): await rule(MyHarness())
"""

# ruff: noqa: S101 -- assertions are what a test suite is made of

import asyncio
import json
from collections.abc import Awaitable, Collection, Sequence

from esm.checkpoint import Budget, Checkpoint, Span
from esm.errors import Disconnected, LostLease
from esm.model import Lane
from esm.testing.group.bench import PATIENCE, GroupHarness, GroupRule, joined
from esm.testing.log.bench import gather, ids

# Reading


async def brings_everything_once_and_in_order(harness: GroupHarness) -> None:
    """Numbers without gaps, positions that grow, and ids that name partition and offset."""
    bench = await harness.group()
    async with joined(bench.source()) as member:
        (lane,) = await member.has(1)
        put = await bench.put(lane, 12)
        records = await member.read(await member.take(lane), 12)
    assert ids(records) == list(put)
    assert ids(records) == [f"{lane}@{record.position}" for record in records]
    first = records[0].seq
    assert [record.seq for record in records] == list(range(first, first + 12))
    positions = [record.position for record in records]
    assert positions == sorted(set(positions))


async def renders_what_it_read(harness: GroupHarness) -> None:
    """The codec's arithmetic holds, its event is JSON, and a description names what was in it."""
    bench = await harness.group()
    source = bench.source()
    async with joined(source) as member:
        (lane,) = await member.has(1)
        await bench.put(lane, 3)
        records = await member.read(await member.take(lane), 3)
    event = source.codec.render(records)
    around = len(event) - sum(len(record.event) for record in records) - (len(records) - 1)
    assert 0 < around <= source.codec.frame
    json.loads(event)
    assert isinstance(source.codec.view(records[0]), dict)
    (described,) = source.codec.describe(Lane(lane), records).values()
    assert described["batchSize"] == 3


async def goes_on_behind_a_position(harness: GroupHarness) -> None:
    """Nothing before it and nothing at it."""
    bench = await harness.group()
    async with joined(bench.source()) as member:
        (lane,) = await member.has(1)
        put = list(await bench.put(lane, 5))
        row = await member.take(lane)
        records = await member.read(row, 5)
        for place in (0, 2, 4):
            put += await bench.put(lane)
            row = await member.commit(row, Checkpoint(records[place].position, clean=False))
            assert ids(await member.read(row, len(put) - place - 1)) == put[place + 1 :]


async def tells_how_many_were_trimmed_unread(harness: GroupHarness) -> None:
    """And goes on at the oldest that is left."""
    bench = await harness.group()
    async with joined(bench.source()) as member:
        (lane,) = await member.has(1)
        row = await member.take(lane)
        put = await bench.put(lane, 6)
        await bench.trim(lane, 4)
        lost, found = 0, list[str]()
        async with member.opened(row) as reader, asyncio.timeout(PATIENCE):
            while len(found) < 2:
                page = await reader.read(10, 1)
                lost, found = lost + (page.lost or 0), found + ids(page.records)
    assert (lost, found) == (4, list(put[4:]))


async def begins_at_the_latest(harness: GroupHarness) -> None:
    """With what comes once the row is taken, however late the lane is opened."""
    bench = await harness.group()
    await bench.put(bench.lanes[0], 3)
    async with joined(bench.source(latest=True)) as member:
        (lane,) = await member.has(1)
        row = await member.take(lane)
        put = await bench.put(lane, 2)
        assert ids(await member.read(row, 2)) == list(put)


# Rows


async def keeps_rows_over_members(harness: GroupHarness) -> None:
    """Whoever comes next finds the position, what is settled above it, and the budgets."""
    bench = await harness.group()
    async with joined(bench.source()) as member:
        (lane,) = await member.has(1)
        put = await bench.put(lane, 6)
        row = await member.take(lane)
        at = [record.position for record in await member.read(row, 6)]
        spans = (Span(at[2], at[2], 0), Span(at[3], at[3]))
        checkpoint = Checkpoint(
            at[1], clean=False, spans=spans, parts=(Budget(2, 1_700_000_000.5, in_flight=True),)
        )
        await member.commit(row, checkpoint)
    async with joined(bench.source()) as other:
        (lane,) = await other.has(1)
        found = await other.row(lane)
        assert found.checkpoint == checkpoint
        assert ids(await other.read(found, 4)) == list(put[2:])


async def begins_where_the_first_write_said(harness: GroupHarness) -> None:
    """D8: once the row is taken, what comes later is not skipped by whoever comes then."""
    bench = await harness.group()
    await bench.put(bench.lanes[0], 3)
    async with joined(bench.source(latest=True)) as member:
        (lane,) = await member.has(1)
        await member.take(lane)
    put = await bench.put(lane, 2)
    async with joined(bench.source(latest=True)) as other:
        (lane,) = await other.has(1)
        assert ids(await other.read(await other.row(lane), 2)) == list(put)


async def believes_no_text_of_others(harness: GroupHarness) -> None:
    """The offset counts, whatever stands beside it."""
    bench = await harness.group()
    async with joined(bench.source()) as member:
        (lane,) = await member.has(1)
        put = await bench.put(lane, 4)
        records = await member.read(await member.take(lane), 4)
    await bench.write_text(lane, records[2].position, "reset by hand")
    async with joined(bench.source()) as other:
        (lane,) = await other.has(1)
        row = await other.take(lane)
        assert row.checkpoint == Checkpoint(records[2].position - 1, clean=False)
        assert ids(await other.read(row, 2)) == list(put[2:])


async def writes_only_what_was_seen(harness: GroupHarness) -> None:
    """A row that was written since is not overwritten."""
    bench = await harness.group()
    async with joined(bench.source()) as member:
        (lane,) = await member.has(1)
        old = await member.row(lane)
        row = await member.take(lane)
        assert not await member.membership.rows.swap(old, row)
        await member.commit(row, Checkpoint(0))


# Sharing out


async def shares_the_lanes_out(harness: GroupHarness) -> None:
    """Each to one member, all of them, and again when one leaves."""
    bench = await harness.group(lanes=4)
    async with joined(bench.source()) as one:
        everything = await one.has(4)
        async with joined(bench.source()) as other:
            both = await one.has(2), await other.has(2)
            assert both[0] | both[1] == everything
        assert await one.has(4) == everything


async def waits_until_a_lane_is_drained(harness: GroupHarness) -> None:
    """Who shares them out waits, and what is committed meanwhile is what the next one finds."""
    bench = await harness.group(lanes=2)
    async with joined(bench.source()) as one:
        rows = {lane: await one.take(lane) for lane in await one.has(2)}
        put = {lane: await bench.put(lane, 3) for lane in rows}
        at = {lane: (await one.read(row, 3))[1].position for lane, row in rows.items()}

        async def drain(lanes: Collection[str]) -> None:
            await asyncio.sleep(0.5)
            for lane in lanes:
                await one.commit(rows[lane], Checkpoint(at[lane]))

        one.leaves = drain
        async with joined(bench.source()) as other:
            (lane,) = await other.has(1)
            row = await other.row(lane)
            assert row.checkpoint == Checkpoint(at[lane])
            assert ids(await other.read(row, 1)) == [put[lane][2]]


async def refuses_writes_for_a_lane_that_went(harness: GroupHarness) -> None:
    """Whatever the coordinator would say to them."""
    bench = await harness.group(lanes=2)
    async with joined(bench.source()) as one:
        rows = {lane: await one.take(lane) for lane in await one.has(2)}
        async with joined(bench.source()) as other:
            (gone,) = await other.has(1)
            await one.has(1)
            assert await _is_refused(one.commit(rows[gone], Checkpoint(99)))
            assert (await other.row(gone)).checkpoint != Checkpoint(99)
            (kept,) = one.lanes
            await one.commit(rows[kept], Checkpoint(0))


async def refuses_writes_of_a_member_taken_for_dead(harness: GroupHarness) -> None:
    """A lane that comes back to it is left out of a set in between; until then nothing is written."""
    bench = await harness.group()
    source = bench.source()
    async with joined(source) as member:
        (lane,) = await member.has(1)
        row = await member.take(lane)
        refused: list[bool] = []

        async def write(_: Collection[str]) -> None:
            refused.append(await _is_refused(member.commit(row, Checkpoint(99))))

        member.leaves = write
        told = len(member.sets)
        await bench.take_for_dead(source)
        await member.told(told + 2)
        assert await member.has(1) == {lane}
        assert frozenset() in member.sets[told:]
        assert refused == [True]
        assert (await member.row(lane)).checkpoint != Checkpoint(99)
        await member.take(lane)


async def finds_partitions_that_are_added(harness: GroupHarness) -> None:
    """And reads them from their beginning, whatever the mapping began with."""
    bench = await harness.group()
    async with joined(bench.source(latest=True)) as member:
        for lane in await member.has(1):
            await member.take(lane)
        new = await bench.add()
        put = await bench.put(new, 2)
        assert new in await member.has(2)
        assert ids(await member.read(await member.take(new), 2)) == list(put)


async def stays_a_member_while_nothing_is_read(harness: GroupHarness) -> None:
    """A lane whose buffer is full is still ours, and goes on where it was."""
    bench = await harness.group()
    async with joined(bench.source()) as member:
        (lane,) = await member.has(1)
        put = await bench.put(lane, 4)
        async with member.opened(await member.take(lane)) as reader:
            first = await gather(reader, 1)
            await asyncio.sleep(3.0)
            assert ids([*first, *await gather(reader, 3)]) == list(put)
        assert member.lanes == {lane}


async def reports_a_missing_topic(harness: GroupHarness) -> None:
    """By joining, or by the first set of lanes."""
    try:
        async with asyncio.timeout(PATIENCE), harness.missing().join() as membership:
            await anext(aiter(membership.lanes()))
    except Disconnected:
        return
    raise AssertionError("a topic that does not exist was found")


async def _is_refused(write: Awaitable[object]) -> bool:
    try:
        await write
    except LostLease:
        return True
    return False


RULES: Sequence[GroupRule] = (
    brings_everything_once_and_in_order,
    renders_what_it_read,
    goes_on_behind_a_position,
    tells_how_many_were_trimmed_unread,
    begins_at_the_latest,
    keeps_rows_over_members,
    begins_where_the_first_write_said,
    believes_no_text_of_others,
    writes_only_what_was_seen,
    shares_the_lanes_out,
    waits_until_a_lane_is_drained,
    refuses_writes_for_a_lane_that_went,
    refuses_writes_of_a_member_taken_for_dead,
    finds_partitions_that_are_added,
    stays_a_member_while_nothing_is_read,
    reports_a_missing_topic,
)
