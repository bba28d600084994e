"""Which partitions are ours, as the event loop knows it, while the thread of the consumer is already further."""

import asyncio
from typing import Any

from confluent_kafka import TopicPartition

from esm.checkpoint import Checkpoint, LaneRow
from esm.clients.kafka.asking import Committed
from esm.sources.begin import Begin, StartingPosition
from esm.sources.kafka.beginnings import Beginnings, Past
from esm.sources.kafka.event import Envelope
from esm.sources.kafka.membership import GroupMembership
from esm.sources.kafka.rows import GroupRows
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
    """Does nothing by itself."""

    def wake(self) -> None:
        """Nobody sleeps."""


def membership(brokers: Brokers) -> GroupMembership:
    made = GroupMembership(
        Envelope("b:1", "t"),
        World(lambda: 0.0, lambda: 0.0, asyncio.sleep, lambda: 0.5, lambda: "id"),
        lambda what, *given: what(*given),
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
