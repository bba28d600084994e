"""The rules of the log suite about time that passes: iterators that expire, records whose retention ends."""

# ruff: noqa: S101 -- assertions are what a test suite is made of

import asyncio
from collections.abc import Sequence

from esm.model import LogPage, Record
from esm.ports import LogReader
from esm.testing.log.bench import PATIENCE, Aged, Harness, Rule, filled, gather, ids, only_lane


async def goes_on_when_its_iterator_has_expired(harness: Harness) -> None:
    """No loss, no repetition; a lane that waits for its function is read so late that this is ordinary."""
    bench, reader_of = await filled(harness, 6)
    if not isinstance(bench.bench, Aged):
        return
    async with reader_of as reader:
        records = await gather(reader, 3)
        await bench.bench.expire()
        records += await gather(reader, 3)
        await bench.bench.expire()
        bench.ids += await bench.put()
        records += await gather(reader, 1)
    assert ids(records) == bench.ids


async def says_what_was_trimmed(harness: Harness) -> None:
    """Reading goes on at the oldest record there is, and the page says that some before it are lost."""
    bench, reader_of = await filled(harness, 9)
    if not isinstance(bench.bench, Aged):
        return
    async with reader_of as reader:
        first = await gather(reader, 2)
        await bench.bench.trim(6)
        await bench.bench.expire()
        records, lost = await _with_losses(reader, 3)
    assert ids(records) == bench.ids[6:]
    assert lost
    async with bench.source.open(await only_lane(bench.source), first[0].position) as reader:
        records, lost = await _with_losses(reader, 3)
    assert ids(records) == bench.ids[6:]
    assert lost


async def says_nothing_where_nothing_is_lost(harness: Harness) -> None:
    """A lane in which nothing happened for longer than its retention: the last position is gone, and no record."""
    bench, reader_of = await filled(harness, 2)
    if not isinstance(bench.bench, Aged):
        return
    async with reader_of as reader:
        records = await gather(reader, 2)
    await bench.bench.trim(2)
    async with bench.source.open(await only_lane(bench.source), records[-1].position) as reader:
        page = await reader.read(10, 0)
        assert page == LogPage(behind=page.behind)
        put = await bench.put()
        records, lost = await _with_losses(reader, 1)
    assert ids(records) == list(put)
    assert not lost


async def _with_losses(reader: LogReader, count: int) -> tuple[list[Record], bool]:
    records: list[Record] = []
    lost = False
    async with asyncio.timeout(PATIENCE):
        while len(records) < count:
            page = await reader.read(count - len(records), 1)
            records += page.records
            lost = lost or page.lost != 0
    return records, lost


RULES: Sequence[Rule] = (
    goes_on_when_its_iterator_has_expired,
    says_what_was_trimmed,
    says_nothing_where_nothing_is_lost,
)
