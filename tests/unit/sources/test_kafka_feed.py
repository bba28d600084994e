"""One partition as its lane reads it: parcels of the thread become pages, whatever the lane has room for."""

import asyncio

import pytest

from esm.errors import Disconnected, LostLease
from esm.model import LogPage, Record, Rejected
from esm.sources.kafka.feed import Feed, Parcel
from esm.world import World

WORLD = World(lambda: 0.0, lambda: 100.0, asyncio.sleep, lambda: 0.5, lambda: "id")


def record(position: int) -> Record:
    return Record(position, f"t-0@{position}", None, 90.0, 0.0, b"12345", b"", position)


def parcel(*positions: int, lost: int | None = 0, at_end: bool = False) -> Parcel:
    made = [record(position) for position in positions]
    return Parcel(made, [], 5 * len(made), positions[-1] + 10, lost, 1000, at_end)


class Bench:
    def __init__(self, *parcels: Parcel) -> None:
        self.taken = 0
        self.feed = Feed("t-0", WORLD, self._take)
        for each in parcels:
            self.feed.came += each.size
            self.feed.put(each)

    def _take(self) -> None:
        self.taken += 1

    async def page(self, limit: int = 100) -> LogPage:
        return await self.feed.read(limit, 0)


def positions(page: LogPage) -> list[int]:
    return [each.position for each in page.records]


async def test_parcels_of_several_polls_are_one_page() -> None:
    bench = Bench(parcel(1, 2), parcel(13, 14))
    page = await bench.page()
    assert (positions(page), page.upto, page.lost, page.end) == ([1, 2, 13, 14], 24, 0, 1000)
    assert (bench.feed.queued, bench.taken) == (0, 1)


async def test_what_there_is_no_room_for_comes_next_and_in_order() -> None:
    bench = Bench(parcel(1, 2, 3, at_end=True), parcel(14))
    pages = [await bench.page(2) for _ in range(3)]
    assert [positions(page) for page in pages] == [[1, 2], [3, 14], []]
    assert [page.upto for page in pages] == [None, 24, None], "beyond a record that was not handed out is nothing"
    assert bench.feed.queued == 0


async def test_bytes_that_wait_are_those_of_what_was_not_handed_out() -> None:
    bench = Bench(parcel(1, 2, 3))
    await bench.page(2)
    assert bench.feed.queued == 5


async def test_a_loss_is_told_once_with_the_first_record_behind_it() -> None:
    bench = Bench(parcel(7, 8, 9, lost=6))
    assert [(await bench.page(1)).lost for _ in range(3)] == [6, 0, 0]


async def test_losses_add_up_and_one_of_unknown_size_stays_unknown() -> None:
    assert (await Bench(parcel(7, lost=6), parcel(20, lost=2)).page()).lost == 8
    assert (await Bench(parcel(7, lost=None), parcel(20, lost=2)).page()).lost is None


async def test_a_parcel_with_something_rejected_is_not_divided() -> None:
    """What is rejected stands between the others, and a page is in order."""
    rejected = [Rejected(record(2), "too large")]
    bench = Bench(Parcel([record(1), record(3)], rejected, 15, 3))
    page = await bench.page(1)
    assert (positions(page), page.rejected, page.upto) == ([1, 3], tuple(rejected), 3)


async def test_of_a_partition_that_is_not_ours_any_more_nothing_is_handed_out() -> None:
    bench = Bench(parcel(1, 2))
    bench.feed.end()
    with pytest.raises(LostLease):
        await bench.page()


async def test_what_is_there_comes_before_what_is_wrong() -> None:
    bench = Bench(parcel(1))
    bench.feed.blame(lambda: Disconnected("unreachable", "gone"))
    assert positions(await bench.page()) == [1]
    with pytest.raises(Disconnected):
        await bench.page()


async def test_it_is_behind_until_the_end_was_seen_and_nothing_waits() -> None:
    bench = Bench(parcel(1, 2, at_end=True))
    assert (await bench.page(1)).behind == 10.0
    assert (await bench.page(1)).behind == 0.0
