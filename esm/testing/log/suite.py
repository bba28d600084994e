"""What every `LogSource` must do, as rules that run against any server, real or fake.

A harness makes fresh logs on the server under test; each rule is an async function over it and fails with an
assertion. Rules about lanes that change and about time that passes ask the bench whether it can do that
(`Reshaped`, `Aged`), and demand nothing where it cannot.

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    async def test_contract(rule): await rule(MyHarness())
"""

# ruff: noqa: S101 -- assertions are what a test suite is made of

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress

from esm.checkpoint import Start
from esm.errors import Disconnected
from esm.model import LogPage, Record
from esm.ports import LogSource
from esm.testing.log import ages, lineage
from esm.testing.log.bench import PATIENCE, Harness, Rule, filled, gather, ids, now, only_lane

# Reading


async def brings_everything_once_and_in_order(harness: Harness) -> None:
    """Numbers without gaps, positions that grow, and times that are those of the server."""
    bench, reader_of = await filled(harness, 12)
    async with reader_of as reader:
        records = await gather(reader, 12)
    assert ids(records) == bench.ids
    first = records[0].seq
    assert [record.seq for record in records] == list(range(first, first + 12))
    positions = [record.position for record in records]
    assert positions == sorted(set(positions))
    assert [record.arrived for record in records] == sorted(record.arrived for record in records)
    assert {record.key for record in records} != {None}


async def renders_and_describes_what_it_read(harness: Harness) -> None:
    """The codec's arithmetic is exact, its event is JSON, and a description names the first and last record."""
    bench, reader_of = await filled(harness, 3)
    async with reader_of as reader:
        records = await gather(reader, 3)
    codec = bench.source.codec
    event = codec.render(records)
    assert len(event) == codec.frame + sum(len(record.event) for record in records) + len(records) - 1
    assert event == codec.render(records)
    assert len(json.loads(event)["Records"]) == 3
    assert isinstance(codec.view(records[0]), dict)
    (described,) = codec.describe(await only_lane(bench.source), records).values()
    assert described["startSequenceNumber"] == bench.ids[0]
    assert described["endSequenceNumber"] == bench.ids[-1]
    assert described["batchSize"] == 3


async def reads_about_as_many_as_asked(harness: Harness) -> None:
    """Room was reserved for that many; the next read goes on behind them."""
    bench, reader_of = await filled(harness, 8)
    async with reader_of as reader:
        page = await reader.read(3, 5)
        assert 1 <= len(page.records) <= 3
        rest = await gather(reader, 8 - len(page.records))
    assert ids([*page.records, *rest]) == bench.ids


async def gives_an_empty_page_when_nothing_comes(harness: Harness) -> None:
    """After the wait, not much later; at the end of the lane it is not behind."""
    bench, reader_of = await filled(harness, 0)
    assert bench.ids == []
    async with reader_of as reader:
        began = now()
        page = await reader.read(10, 1)
        assert page == LogPage(behind=page.behind)
        assert not page.behind
        assert now() - began < 4


async def notices_what_arrives(harness: Harness) -> None:
    """A read that waits returns with the record, not at its end."""
    bench, reader_of = await filled(harness, 0)
    async with reader_of as reader:
        await reader.read(1, 0)
        began = now()
        async with asyncio.TaskGroup() as tasks:
            poll = tasks.create_task(reader.read(10, 15))
            await asyncio.sleep(0.2)  # lets the read begin; if it has not, the rule holds all the same
            (put,) = await bench.put()
        assert ids(poll.result().records) == [put]
        assert now() - began < 10


async def loses_nothing_by_a_cancelled_read(harness: Harness) -> None:
    """Wherever a read is cut off, the next one goes on behind the last page."""
    bench, reader_of = await filled(harness, 6)
    records: list[Record] = []
    async with reader_of as reader, asyncio.timeout(PATIENCE):
        for patience in (0.001, 0.003, 0.01, 0.03):
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    records += (await reader.read(2, 5)).records
        while len(records) < 6:
            records += (await reader.read(2, 1)).records
    assert ids(records) == bench.ids


async def reads_a_lane_for_several(harness: Harness) -> None:
    """Each reader has its own place."""
    bench, reader_of = await filled(harness, 5)
    lane = await only_lane(bench.source)
    async with reader_of as one, bench.source.open(lane, Start()) as other, asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(gather(reader, 5)) for reader in (one, other)]
    assert [ids(each.result()) for each in both] == [bench.ids, bench.ids]


async def reports_a_missing_log(harness: Harness) -> None:
    """As something that lasts, wherever it is asked first."""
    for ask in (_first_lanes, _begin):
        problem: Disconnected | None = None
        try:
            await ask(harness.missing())
        except Disconnected as raised:
            problem = raised
        assert problem is not None, "a log that does not exist was found"
        assert problem.lasting


# Where it begins


async def goes_on_behind_a_position(harness: Harness) -> None:
    """Nothing before it and nothing at it, from the first and the last record on as well."""
    bench, reader_of = await filled(harness, 5)
    async with reader_of as reader:
        records = await gather(reader, 5)
    lane = await only_lane(bench.source)
    for place in (0, 2, 4):
        more = await bench.put()
        bench.ids += more
        async with bench.source.open(lane, records[place].position) as reader:
            wanted = bench.ids[place + 1 :]
            assert ids(await gather(reader, len(wanted))) == wanted


async def begins_at_a_time(harness: Harness) -> None:
    """With the first record that arrived then or later."""
    bench, reader_of = await filled(harness, 1)
    async with reader_of as reader:
        records = await gather(reader, 1)
        async with asyncio.timeout(PATIENCE):
            while records[-1].arrived < records[0].arrived + 0.05:
                await bench.put()
                records += await gather(reader, 1)
    async with bench.source.open(await only_lane(bench.source), Start(records[-1].arrived)) as reader:
        assert ids(await gather(reader, 1)) == [records[-1].id]


async def begins_at_the_latest_without_a_gap(harness: Harness) -> None:
    """What is put when `begin` has answered is read, however late the lane is opened."""
    bench = await harness.log(latest=True)
    start = await bench.source.begin()
    assert start.time is not None
    put = await bench.put(3)
    async with bench.source.open(await only_lane(bench.source), start) as reader:
        assert ids(await gather(reader, 3)) == put


async def begins_at_the_oldest(harness: Harness) -> None:
    """If the mapping says so."""
    bench = await harness.log()
    assert await bench.source.begin() == Start()


async def _first_lanes(source: LogSource) -> None:
    await anext(aiter(source.lanes()))


async def _begin(source: LogSource) -> None:
    await source.begin()


RULES: Sequence[Rule] = (
    brings_everything_once_and_in_order,
    renders_and_describes_what_it_read,
    reads_about_as_many_as_asked,
    gives_an_empty_page_when_nothing_comes,
    notices_what_arrives,
    loses_nothing_by_a_cancelled_read,
    reads_a_lane_for_several,
    reports_a_missing_log,
    goes_on_behind_a_position,
    begins_at_a_time,
    begins_at_the_latest_without_a_gap,
    begins_at_the_oldest,
    *lineage.RULES,
    *ages.RULES,
)
