"""Which partitions are ours, as the event loop knows it, while the thread of the consumer is already further."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from esm.checkpoint import Checkpoint, LaneRow
from esm.clients.kafka.asking import Committed
from esm.errors import LostLease
from esm.model import Lane
from esm.sources.begin import Begin, StartingPosition
from esm.sources.kafka.beginnings import Beginnings, Past
from esm.sources.kafka.commits import Commits, Unanswered
from esm.sources.kafka.event import Envelope
from esm.sources.kafka.membership import GroupMembership
from esm.sources.kafka.readings import Reading
from esm.sources.kafka.rows import GroupRows
from esm.testing import loop
from esm.world import World


class Brokers:
    """What the group has for the only partition of its topic."""

    group, topic = "g", "t"

    def __init__(self) -> None:
        self.offset = 5

    async def committed(self) -> dict[int, Committed]:
        return {0: Committed(self.offset)}

    async def partitions(self) -> int:
        return 1

    async def offsets(self, wanted: Any, /) -> dict[int, int]:
        raise NotImplementedError

    async def commit(self, place: TopicPartition) -> None:
        self.offset = place.offset


class Thread:
    """Does what it is asked to at once; partitions are taken from it as the test says."""

    def __init__(self) -> None:
        self.owned = {0}
        self.trouble = None
        self.readings: Any = Readings()
        self.commits: Any = Commits(self.owned, lambda: 0.0)

    def wake(self) -> None:
        """Nobody sleeps."""

    def order(self, what: Callable[[Any], None]) -> None:
        what(None)

    def is_ours(self, partition: int) -> bool:
        return partition in self.owned


class Readings:
    def __init__(self) -> None:
        self.opened: list[int] = []

    def open(self, _: Any, reading: Reading) -> None:
        self.opened.append(reading.offset)

    def shut(self, *_: Any) -> None:
        """It was open."""


def membership(brokers: Brokers) -> GroupMembership:
    made = GroupMembership(
        Envelope("b:1", "t"),
        World(lambda: 0.0, lambda: 0.0, asyncio.sleep, lambda: 0.5, lambda: "id"),
        lambda what, *given: what(*given),
        patience=30.0,
    )
    thread: Any = Thread()
    made.poller = thread
    begin = Begin(StartingPosition.TRIM_HORIZON)
    made.rows = GroupRows(
        Beginnings(brokers, begin, Past(), remark=lambda _: None, wall=lambda: 0.0), brokers.commit
    )
    return made


async def row(one: GroupMembership) -> LaneRow | None:
    return next(iter(await one.rows.view("scope")), None)


async def test_a_partition_that_comes_back_before_its_lane_has_gone_is_not_forgotten() -> None:
    """Its lane took longer than the thread's patience, and the group gave it back at once."""
    brokers, gone = Brokers(), []
    one = membership(brokers)
    one.assigned({0})
    sets = one.lanes()
    assert [lane.name for lane in await anext(sets)] == ["t-0"]
    before = await row(one)
    one.leaving({0}, lambda: gone.append(0))
    brokers.offset = 50  # another member had it meanwhile
    one.assigned({0})
    assert await anext(sets) == []
    assert not gone
    assert [lane.name for lane in await anext(sets)] == ["t-0"]
    assert gone == [0]
    found = await row(one)
    assert found is not None, "its rows are those of nobody"
    assert found.checkpoint == Checkpoint(49)
    new = LaneRow("scope", "t-0", "late", 1, 1, None, Checkpoint(7))
    assert not await one.rows.swap(before, new), "who had it before writes over what others did"
    assert brokers.offset == 50


async def test_a_partition_that_the_thread_has_lost_already_is_not_opened() -> None:
    """What it tells of that comes later: until then it would read what is another's."""
    one = membership(Brokers())
    one.assigned({0})
    thread: Any = one.poller
    thread.owned.clear()
    with pytest.raises(LostLease):
        async with one.open(Lane("t-0"), 4):
            raise AssertionError
    assert thread.readings.opened == []


def test_a_coordinator_that_owes_an_answer_for_long_is_a_store_that_fails() -> None:
    async def ask() -> float:
        one = membership(Brokers())
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unanswered):
            await one.commit(TopicPartition("t", 0, 5, ""))
        return asyncio.get_running_loop().time() - began

    assert loop.run(ask()) == pytest.approx(30.0)


async def test_a_partition_that_was_made_anew_stops_and_starts_at_its_oldest() -> None:
    one = membership(Brokers())
    one.assigned({0, 1})
    sets = one.lanes()
    assert len(await anext(sets)) == 2
    one.strayed(0, 3)
    assert [[lane.name for lane in await anext(sets)] for _ in range(2)] == [["t-1"], ["t-0", "t-1"]]
    async with one.open(Lane("t-0"), 2) as feed:
        assert (await feed.read(1, 0)).lost is None


async def test_a_lane_that_is_lost_writes_nothing_even_before_it_is_stopped() -> None:
    brokers = Brokers()
    one = membership(brokers)
    one.assigned({0})
    before = await row(one)
    assert before is not None
    one.lost({0})
    with pytest.raises(LostLease):
        await one.rows.swap(before, LaneRow("scope", "t-0", "me", 1, 1, None, Checkpoint(9)))
    assert brokers.offset == 5


async def test_lanes_are_let_go_when_the_set_without_them_was_applied_and_not_before() -> None:
    one, gone = membership(Brokers()), []
    one.assigned({0})
    sets = one.lanes()
    await anext(sets)
    one.leaving({0}, lambda: gone.append(0))
    assert await anext(sets) == []
    assert gone == [], "it was handed out, which is not applied"
    one.assigned(set())
    await anext(sets)
    assert gone == [0]
