"""A lane's row while it is ours, its only writer, and where a mapping begins."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

import pytest
from msgspec import structs
from runtime_world import Steady, Told, now, world

from esm.checkpoint import Checkpoint, LaneRow, Start
from esm.errors import LostLease, StoreFailed
from esm.runtime.lane_happenings import Committed, Stalled, Unstalled
from esm.runtime.log.committer import Committer
from esm.runtime.log.row import HeldRow, SeenRows, resolve_start, take_row
from esm.runtime.log.stall import Stall
from esm.stores import MemoryStore
from esm.testing import loop
from esm.testing.faults import Faults
from esm.testing.log.fake import FakeLog, FakeLogSource


@dataclass
class Flaky:
    """A store whose next writes go as `script` says: "lost" is written, but nobody hears of it."""

    script: list[str] = field(default_factory=list)
    rows: MemoryStore = field(default_factory=MemoryStore)
    takes: float = 0.0
    views: int = 0
    written: list[tuple[float, LaneRow]] = field(default_factory=list)

    async def view(self, scope: str) -> Collection[LaneRow]:
        self.views += 1
        return await self.rows.view(scope)

    async def swap(self, old: LaneRow | None, new: LaneRow) -> bool:
        await asyncio.sleep(self.takes)
        how = self.script.pop(0) if self.script else "well"
        if how == "fails":
            raise StoreFailed("disk full")
        swapped = await self.rows.swap(old, new)
        if how == "lost":
            raise StoreFailed("no answer")
        self.written.append((now(), new))
        return swapped

    async def forget(self, row: LaneRow) -> bool:
        return await self.rows.forget(row)

    async def checkpoint(self) -> Checkpoint | None:
        (row,) = await self.view("scope")
        return row.checkpoint


async def taken(store: Flaky, owner: str = "us") -> HeldRow:
    return await take_row(store, "scope", "lane", owner)


async def test_taking_a_lane_says_what_was_left_and_that_it_is_open() -> None:
    store = Flaky()
    row = await taken(store)
    assert (row.found, row.row.epoch, row.row.owner) == (Checkpoint(), 1, "us")
    assert await store.checkpoint() == Checkpoint(clean=False)
    await row.commit(Checkpoint(7))
    again = await taken(store, "them")
    assert (again.found, again.row.epoch, again.row.counter) == (Checkpoint(7), 2, 0)


async def test_two_cannot_take_a_lane_at_once() -> None:
    store = Flaky(takes=0.01)
    results = await asyncio.gather(taken(store, "us"), taken(store, "them"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["HeldRow", "LostLease"]


async def test_whoever_lost_a_lane_cannot_write_it_even_under_the_same_name() -> None:
    store = Flaky()
    row = await taken(store)
    other = await taken(store)
    with pytest.raises(LostLease):
        await row.commit(Checkpoint(7))
    await other.commit(Checkpoint(8))
    assert await store.checkpoint() == Checkpoint(8)


@pytest.mark.parametrize("script", [["lost"], ["fails"], ["lost", "lost"], ["fails", "lost"], ["lost", "fails"]])
async def test_a_write_that_nobody_answered_is_no_theft(script: list[str]) -> None:
    store = Flaky()
    row = await taken(store)
    store.script = list(script)
    for number in range(len(script)):
        with pytest.raises(StoreFailed):
            await row.commit(Checkpoint(number))
    await row.commit(Checkpoint(100))
    await row.commit(Checkpoint(101))
    assert await store.checkpoint() == Checkpoint(101)


async def test_a_write_that_nobody_answered_does_not_hide_a_theft() -> None:
    store = Flaky()
    row = await taken(store)
    store.script = ["lost"]
    with pytest.raises(StoreFailed):
        await row.commit(Checkpoint(1))
    await taken(store, "them")
    with pytest.raises(LostLease):
        await row.commit(Checkpoint(2))


async def test_a_write_that_was_cut_off_is_no_theft() -> None:
    store = Flaky()
    row = await taken(store)
    written = row.row
    store.takes = 10.0
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(row.commit(Checkpoint(1)))
        await asyncio.sleep(0)
        writing.cancel()
    store.takes = 0.0
    await store.rows.swap(written, structs.replace(written, counter=1, checkpoint=Checkpoint(1)))
    await row.commit(Checkpoint(2))
    assert await store.checkpoint() == Checkpoint(2)


async def test_a_start_is_asked_for_once() -> None:
    store = Flaky()
    log = FakeLog(now)
    faults = Faults(Steady())
    first = await resolve_start(store, "scope", FakeLogSource(log, faults, Start(5.0)))
    second = await resolve_start(store, "scope", FakeLogSource(log, faults, Start(9.0)))
    assert (first, second) == (Start(5.0), Start(5.0))


async def seen(store: Flaky) -> SeenRows:
    return SeenRows(store, "scope", await store.view("scope"))


async def test_lanes_that_begin_do_not_each_read_all_rows() -> None:
    store = Flaky()
    for lane in ("a", "b"):
        await (await take_row(store, "scope", lane, "before")).commit(Checkpoint(7))
    rows = await seen(store)
    store.views = 0
    old, new = await rows.take("a", "us"), await rows.take("c", "us")
    assert (old.found, new.found) == (Checkpoint(7), Checkpoint())
    await old.commit(Checkpoint(9))
    rows.leave(old)
    assert (await rows.take("a", "us again")).found == Checkpoint(9)
    assert store.views == 0


async def test_what_was_seen_is_believed_once() -> None:
    store = Flaky()
    rows = await seen(store)
    theirs = await taken(store, "them")
    await theirs.commit(Checkpoint(7))
    with pytest.raises(LostLease):
        await rows.take("lane", "us")
    assert (await rows.take("lane", "us")).found == Checkpoint(7)


async def test_a_row_is_read_again_if_taking_it_or_writing_it_was_not_answered() -> None:
    store = Flaky(["lost"])
    rows = await seen(store)
    with pytest.raises(StoreFailed):
        await rows.take("lane", "us")
    row = await rows.take("lane", "us")
    assert row.row.epoch == 2
    store.script = ["lost"]
    with pytest.raises(StoreFailed):
        await row.commit(Checkpoint(7))
    rows.leave(row)
    assert (await rows.take("lane", "us")).found == Checkpoint(7)


async def test_a_row_that_was_lost_is_read_again() -> None:
    store = Flaky()
    rows = await seen(store)
    row = await rows.take("lane", "us")
    await (await taken(store, "them")).commit(Checkpoint(7))
    with pytest.raises(LostLease):
        await row.commit(Checkpoint(1))
    rows.leave(row)
    assert (await rows.take("lane", "us")).found == Checkpoint(7)


# The committer


@dataclass
class Desk:
    """A committer of a lane whose mark is `at`."""

    store: Flaky
    committer: Committer
    told: Told
    at: int = 0


async def desk(interval: float = 1.0, takes: float = 0.0) -> Desk:
    store = Flaky()
    row = await taken(store)
    store.takes = takes
    store.written.clear()
    told = Told()
    here = world(told)
    made = Desk(store, None, told)  # type: ignore[arg-type]
    stall = Stall("orders", "lane", here)
    made.committer = Committer(
        "orders", row, lambda: Checkpoint(made.at), interval, stall, here, wake=lambda: None
    )
    return made


def marks(one: Desk) -> list[tuple[float, int | None]]:
    return [(at, row.checkpoint.at) for at, row in one.store.written if row.checkpoint]


def test_what_nobody_waits_for_is_written_once_per_interval() -> None:
    async def play() -> None:
        one = await desk(interval=5.0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.committer.run())
            for second in range(12):
                one.at = second
                one.committer.changed()
                await asyncio.sleep(1.0)
            one.committer.close()
        assert marks(one) == [(0.0, 0), (5.0, 5), (10.0, 10), (12.0, 11)]
        assert len(one.told.of(Committed)) == 4

    loop.run(play())


def test_all_who_ask_during_a_write_share_the_next_one() -> None:
    async def play() -> None:
        one = await desk(takes=2.0)
        when: list[float] = []

        async def ask() -> None:
            assert await one.committer.durable(60.0)
            when.append(now())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.committer.run())
            tasks.create_task(ask())
            await asyncio.sleep(1.0)
            one.at = 7
            for _ in range(3):
                tasks.create_task(ask())
            await asyncio.sleep(10.0)
            one.committer.close()
        assert when == [2.0, 4.0, 4.0, 4.0]
        assert marks(one)[:2] == [(2.0, 0), (4.0, 7)]

    loop.run(play())


def test_who_waits_too_long_is_told_so() -> None:
    async def play() -> None:
        one = await desk(takes=3.0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.committer.run())
            assert not await one.committer.durable(1.0)
            assert await one.committer.durable(60.0)
            one.committer.close()

    loop.run(play())


def test_a_store_that_fails_is_tried_again_with_what_is_known_then() -> None:
    async def play() -> None:
        one = await desk()
        one.store.script = ["fails", "fails", "fails"]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.committer.run())
            one.committer.changed()
            await asyncio.sleep(0.1)
            failing = [one.committer.is_failing]
            one.at = 9
            await asyncio.sleep(10.0)
            failing.append(one.committer.is_failing)
            one.committer.close()
        assert failing == [True, False]
        assert marks(one)[0][1] == 9
        assert (len(one.told.of(Stalled)), len(one.told.of(Unstalled))) == (1, 1)

    loop.run(play())


def test_closing_writes_what_is_known_last_however_long_it_takes() -> None:
    async def play() -> None:
        one = await desk()
        one.store.script = ["fails"] * 5
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.committer.run())
            one.at = 3
            one.committer.close()
        assert marks(one) == [(now(), 3)]

    loop.run(play())


def test_a_lost_lease_ends_it() -> None:
    async def play() -> None:
        one = await desk()
        await taken(one.store, "them")
        one.committer.changed()
        with pytest.raises(LostLease):
            await one.committer.run()

    loop.run(play())
