"""Reading one shard: in order, at its pace, over expired iterators, throttles and trimmed records."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from shard_script import QUOTA, ScriptedShard, a_reader, a_world, now, positions

from esm.checkpoint import Position, Start
from esm.errors import Disconnected
from esm.model import Lane, LogPage
from esm.sources.shards import THROTTLED, TRIMMED, Pacer, ShardReader
from esm.testing.loop import run


def on_virtual_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        await test()

    def wrapped() -> None:
        run(main())

    wrapped.__name__ = test.__name__
    return wrapped


async def read_all(reader: ShardReader, limit: int, count: int) -> list[int]:
    read: list[int] = []
    while len(read) < count:
        page = await reader.read(limit, 1)
        assert page.lost == 0
        read += positions(page)
    return read


# Pace


@on_virtual_time
async def test_a_backlog_is_read_at_once_five_times_a_second() -> None:
    shard = ScriptedShard(list(range(1, 51)))
    assert await read_all(a_reader(shard), 5, 50) == shard.positions
    gaps = [later - earlier for earlier, later in zip(shard.fetches, shard.fetches[1:], strict=False)]
    assert all(gap == pytest.approx(0.21, abs=0.02) for gap in gaps)


@on_virtual_time
async def test_records_are_numbered_through_over_all_pages() -> None:
    reader = a_reader(ScriptedShard(list(range(1, 21))))
    pages = [await reader.read(limit, 1) for limit in (3, 1, 5, 11)]
    assert [record.seq for page in pages for record in page.records] == list(range(20))


@on_virtual_time
async def test_an_idle_shard_is_read_once_a_second() -> None:
    shard = ScriptedShard()
    reader = a_reader(shard)
    for _ in range(10):
        assert await reader.read(100, 1) == LogPage(behind=0.0)
    assert len(shard.fetches) == pytest.approx(now(), abs=2)


@on_virtual_time
async def test_a_wait_covers_several_reads() -> None:
    shard = ScriptedShard()
    reader = a_reader(shard)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(reader.read(100, 20))
        await asyncio.sleep(4.5)
        shard.positions.append(7)
    assert positions(reading.result()) == [7]
    assert now() < 6


@on_virtual_time
async def test_an_empty_page_of_a_shard_with_a_backlog_is_no_reason_to_wait() -> None:
    shard = ScriptedShard([1, 2, 3], empty_pages=3)
    assert positions(await a_reader(shard).read(10, 5)) == [1, 2, 3]
    assert now() < 1


@on_virtual_time
async def test_a_full_page_is_no_end_even_where_the_service_says_so() -> None:
    shard = ScriptedShard(list(range(1, 21)), tells_behind=False)
    await read_all(a_reader(shard), 5, 20)
    assert now() < 1


@on_virtual_time
async def test_large_pages_are_paid_for() -> None:
    shard = ScriptedShard(list(range(1, 31)), size=1_000_000)
    await read_all(a_reader(shard), 10, 30)
    assert [round(at) for at in shard.fetches] == [0, 5, 10]


@on_virtual_time
async def test_all_readers_of_a_shard_share_its_quota() -> None:
    shard = ScriptedShard(list(range(1, 101)), size=10_000)
    pacer = Pacer(QUOTA, a_world())
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(read_all(a_reader(shard, pacer=pacer), 10, 100)) for _ in range(3)]
    assert [reader.result() for reader in readers] == [shard.positions] * 3
    assert len(shard.fetches) == 30
    assert shard.fetches[-1] - shard.fetches[0] >= 29 / 5 - 0.01


@on_virtual_time
async def test_a_slow_shard_delays_no_other() -> None:
    slow, quick = ScriptedShard([1], latency=25), ScriptedShard([2])
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(a_reader(slow).read(1, 1))
        assert positions(await a_reader(quick).read(1, 1)) == [2]
        assert now() < 1
    assert positions(waiting.result()) == [1]


@on_virtual_time
async def test_no_read_asks_for_more_than_the_service_gives() -> None:
    shard = ScriptedShard([1, 2], page=1000)
    reader = a_reader(shard)
    await reader.read(50_000, 0)
    await reader.read(7, 0)
    assert shard.limits == [1000, 7]


# What goes wrong


@on_virtual_time
async def test_an_expired_iterator_is_made_anew_behind_the_last_record() -> None:
    shard = ScriptedShard(list(range(1, 10)))
    reader = a_reader(shard)
    read = positions(await reader.read(4, 1))
    shard.expire()
    read += await read_all(reader, 5, 5)
    assert read == shard.positions
    assert shard.iterators == [Start(), 4]


@on_virtual_time
async def test_an_iterator_that_expired_before_any_record_begins_where_the_first_one_did() -> None:
    shard = ScriptedShard()
    reader = a_reader(shard, Start(5.0))
    await reader.read(4, 0)
    shard.expire()
    await reader.read(4, 5)
    assert shard.iterators == [Start(5.0), Start(5.0)]


@on_virtual_time
async def test_iterators_that_always_expire_are_a_problem() -> None:
    shard = ScriptedShard([1])
    shard.valid_from = 1000
    with pytest.raises(Disconnected, match="scripted"):
        await a_reader(shard).read(1, 60)


@on_virtual_time
async def test_a_throttle_is_waited_out_without_a_storm() -> None:
    shard = ScriptedShard([1])
    shard.raises.extend([Disconnected(THROTTLED, "scripted") for _ in range(5)])
    reader = a_reader(shard)
    assert positions(await reader.read(1, 600)) == [1]
    assert len(shard.fetches) <= 6
    assert now() > 3


@on_virtual_time
async def test_throttles_without_end_are_told() -> None:
    shard = ScriptedShard([1])
    reader = a_reader(shard)
    await reader.read(1, 0)
    shard.raises.extend([Disconnected(THROTTLED, "scripted") for _ in range(100)])
    with pytest.raises(Disconnected):
        await reader.read(1, 3600)
    assert 20 < now() < 200
    assert len(shard.fetches) == 11


@on_virtual_time
async def test_throttles_that_pass_are_none_in_a_row() -> None:
    shard = ScriptedShard(list(range(1, 31)))
    reader = a_reader(shard)
    for position in shard.positions:
        shard.raises.append(Disconnected(THROTTLED, "scripted"))
        assert positions(await reader.read(1, 60)) == [position]


@on_virtual_time
async def test_a_read_returns_when_its_wait_is_over_although_it_is_throttled() -> None:
    shard = ScriptedShard([1, 2])
    reader = a_reader(shard)
    await reader.read(1, 0)
    shard.raises.append(Disconnected(THROTTLED, "scripted"))
    assert await reader.read(1, 0) == LogPage(behind=1.0)
    assert positions(await reader.read(1, 0)) == [2]


@on_virtual_time
async def test_after_a_problem_it_goes_on_at_the_same_place() -> None:
    shard = ScriptedShard([1, 2, 3])
    reader = a_reader(shard)
    assert positions(await reader.read(1, 1)) == [1]
    shard.raises.append(Disconnected("unreachable", "scripted"))
    with pytest.raises(Disconnected):
        await reader.read(1, 1)
    assert await read_all(reader, 10, 2) == [2, 3]


@on_virtual_time
async def test_a_fault_of_the_service_is_tried_again_before_it_is_told() -> None:
    shard = ScriptedShard([1])
    shard.raises.extend([Disconnected("ServiceError", "scripted")] * 2)
    assert positions(await a_reader(shard).read(1, 5)) == [1]
    shard.raises.extend([Disconnected("ServiceError", "scripted")] * 3)
    with pytest.raises(Disconnected):
        await a_reader(shard).read(1, 60)


@on_virtual_time
async def test_a_cancelled_read_moves_nothing() -> None:
    shard = ScriptedShard([1, 2])
    reader = a_reader(shard)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.015):
            await reader.read(10, 5)
    page = await reader.read(10, 1)
    assert positions(page) == [1, 2]
    assert [record.seq for record in page.records] == [0, 1]


# What is trimmed


@on_virtual_time
async def test_a_position_that_the_service_says_is_trimmed_goes_on_at_the_oldest() -> None:
    shard = ScriptedShard([5, 6], inclusive=False)
    shard.raises.append(Disconnected(TRIMMED, "scripted"))
    reader = a_reader(shard, 2)
    assert await reader.read(10, 1) == LogPage(lost=None)
    page = await reader.read(10, 1)
    assert (positions(page), page.lost) == ([5, 6], 0)
    assert shard.iterators == [Start()]


@on_virtual_time
async def test_a_position_that_is_missing_with_records_behind_it_says_that_some_are_lost() -> None:
    shard = ScriptedShard([1, 2, 3, 4], trimmed=3)
    page = await a_reader(shard, 2).read(10, 1)
    assert (positions(page), page.lost) == ([4], None)


@on_virtual_time
async def test_a_lane_held_up_for_longer_than_the_retention_says_so_too() -> None:
    shard = ScriptedShard([1, 2, 3, 4])
    reader = a_reader(shard)
    await reader.read(1, 1)
    shard.trimmed = 3
    shard.expire()
    page = await reader.read(10, 1)
    assert (positions(page), page.lost) == ([4], None)


@on_virtual_time
async def test_a_silent_shard_lost_nothing_although_its_last_record_is_gone() -> None:
    shard = ScriptedShard([1, 2], trimmed=2)
    reader = a_reader(shard, 2)
    assert await reader.read(10, 0) == LogPage(behind=0.0)
    shard.expire()
    shard.positions.append(3)
    page = await reader.read(10, 5)
    assert (positions(page), page.lost) == ([3], 0)


@on_virtual_time
async def test_the_record_at_the_position_is_not_read_again() -> None:
    shard = ScriptedShard([1, 2, 3])
    page = await a_reader(shard, 2).read(10, 1)
    assert positions(page) == [3]
    assert [record.seq for record in page.records] == [0]
    assert await a_reader(shard, 3).read(10, 0) == LogPage(behind=0.0)


# The end


@on_virtual_time
async def test_the_end_is_told_once_to_the_source_and_to_every_read() -> None:
    ends: list[float] = []
    children = (Lane("c", ("p",)),)
    shard = ScriptedShard([1, 2], closed=True, children=children)
    reader = a_reader(shard, on_end=lambda: ends.append(now()))
    page = await reader.read(1, 1)
    assert not page.ended
    page = await reader.read(10, 1)
    assert (positions(page), page.ended, page.children) == ([2], True, children)
    assert await reader.read(10, 1) == LogPage(ended=True, children=children)
    assert len(ends) == 1
    assert len(shard.fetches) == 2


@on_virtual_time
async def test_a_server_that_goes_back_to_the_beginning_delivers_nothing_again() -> None:
    """It takes any position, and answers with everything it has."""
    shard = ScriptedShard([10, 20, 30, 40])
    shard.iterator = _from_the_beginning  # type: ignore[method-assign]
    reader = a_reader(shard, after=30)
    page = await reader.read(10, 0)
    assert (positions(page), page.lost) == ([40], 0)


async def _from_the_beginning(place: Position | Start) -> str:
    return "1/0"


@on_virtual_time
async def test_an_empty_page_in_between_hides_no_loss() -> None:
    shard = ScriptedShard([10, 20, 30], trimmed=2, empty_pages=1)
    page = await a_reader(shard, after=10).read(10, 5)
    assert (positions(page), page.lost) == ([30], None)
