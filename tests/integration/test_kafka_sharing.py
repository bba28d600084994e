"""A topic's group at work against Apache Kafka: members come, go, are slow, and are taken for dead."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from kafka_members import Member, each_once, in_thread, member, refusing, source_of, succeeding, until

from esm.model import Errored, Invocation, Outcome, Reply
from esm.runtime.lane_happenings import Dropped, LaneLost, Retried
from servers import Server
from servers.topics import Record, Topic, TopicMaker

PROTOCOLS = ("classic", "consumer")
NUMBERS = itertools.count()


@pytest.fixture
def topic(kafka: Server, make_topic: TopicMaker) -> Topic:
    return make_topic(kafka.address, partitions=4)


@pytest.fixture
def group() -> str:
    return f"group-{next(NUMBERS)}"


def spread(count: int) -> list[Record]:
    return [Record(b"%d" % n, key=b"k%d" % (n % 7), partition=n % 4) for n in range(count)]


def delivered(members: Sequence[Member]) -> int:
    return sum(len(one.events) for one in members)


def complete(count: int) -> dict[int, list[int]]:
    return {partition: list(range(count // 4)) for partition in range(4)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_everything_comes_once_in_order_and_is_committed(topic: Topic, group: str, protocol: str) -> None:
    await in_thread(topic.produce, spread(400))
    async with member(source_of(topic, group, group_protocol=protocol)) as one:
        await until(lambda: len(one.events) == 400)
    assert one.offsets == complete(400)
    committed = await in_thread(topic.committed, group)
    assert {number: place.offset for number, place in committed.items()} == dict.fromkeys(range(4), 100)
    assert await in_thread(topic.members, group) == {}

    await in_thread(topic.produce, spread(40))
    async with member(source_of(topic, group, group_protocol=protocol)) as again:
        await until(lambda: len(again.events) == 40)
    assert again.offsets == {partition: list(range(100, 110)) for partition in range(4)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_members_that_come_and_go_cost_no_duplicate(topic: Topic, group: str, protocol: str) -> None:
    first = source_of(topic, group, group_protocol=protocol)
    second = source_of(topic, group, group_protocol=protocol)
    await in_thread(topic.produce, spread(200))
    async with member(first, batch_size=10) as one:
        await until(lambda: len(one.lanes) == 4)
        async with member(second, "b", batch_size=10) as two:
            await until(lambda: len(two.lanes) == 2 and len(one.lanes) == 2, "the partitions are not shared")
            await in_thread(topic.produce, spread(200))
            await until(lambda: delivered([one, two]) == 400)
            assert {*two.offsets} == two.lanes
        await until(lambda: len(one.lanes) == 4, "what the other had is not read")
        await in_thread(topic.produce, spread(200))
        await until(lambda: delivered([one, two]) == 600)
    assert each_once(one, two) == complete(600)
    assert "lost" not in one.rebalances + two.rebalances


async def test_what_is_under_way_is_finished_before_a_partition_goes(topic: Topic, group: str) -> None:
    await in_thread(topic.produce, spread(40))
    async with member(source_of(topic, group, drain=20), batch_size=10) as one:
        one.open.clear()
        await until(lambda: one.calls == 4)
        async with member(source_of(topic, group), "b", batch_size=10) as two:
            await until(lambda: "revoked" in one.rebalances)
            assert two.calls == 0
            one.open.set()
            await until(lambda: len(two.lanes) == 2)
            await in_thread(topic.produce, spread(40))
            await until(lambda: delivered([one, two]) == 80)
    assert each_once(one, two) == complete(80)


async def test_a_batch_that_takes_too_long_is_left_to_the_next_member(topic: Topic, group: str) -> None:
    await in_thread(topic.produce, spread(40))
    async with member(source_of(topic, group, drain=0.5), batch_size=10) as one:
        one.open.clear()
        await until(lambda: one.calls == 4)
        async with member(source_of(topic, group), "b", batch_size=10) as two:
            await until(lambda: two.calls == 2, "the partitions were never given up")
            taken = two.lanes
            await until(lambda: len(two.events) == 20)
            one.open.set()
            await until(lambda: len(one.events) == 20)
    assert {*two.offsets} == taken
    assert each_once(one, two) == complete(40)


async def test_a_retry_budget_moves_with_its_partition(topic: Topic, group: str) -> None:
    def failing(_: Invocation) -> Reply:
        return Errored(Outcome.FUNCTION_ERROR, "no")

    await in_thread(topic.produce, [Record(b"poison", partition=0)])
    async with member(source_of(topic, group), maximum_retry_attempts=3) as one:
        one.answer = failing
        await until(lambda: [each.attempts for each in one.all_told(Retried)] == [1, 2])
    async with member(source_of(topic, group), "b", maximum_retry_attempts=3) as two:
        two.answer = failing
        await until(lambda: two.all_told(Dropped))
    assert one.calls + two.calls == 4


async def test_a_slow_target_does_not_cost_the_membership(topic: Topic, group: str) -> None:
    quick = {"max.poll.interval.ms": 6000, "session.timeout.ms": 6000}
    await in_thread(topic.produce, spread(4000))
    async with member(source_of(topic, group, settings=quick), batch_size=10) as one:
        one.answer = refusing
        await until(lambda: one.calls >= 4)
        await asyncio.sleep(8)  # longer than a member may be silent; what is shown is that nothing happens
        one.answer = succeeding
        await until(lambda: len(one.events) == 4000, patience=50)
    assert one.rebalances == ["assigned"]
    assert one.offsets == complete(4000)


async def test_partitions_that_are_added_are_read_from_their_beginning(topic: Topic, group: str) -> None:
    source = source_of(topic, group, "LATEST", metadata_refresh=1)
    async with member(source) as one:
        await until(lambda: len(one.lanes) == 4)
        await in_thread(topic.grow, 6)
        await in_thread(topic.produce, [Record(b"x", partition=5), Record(b"y", partition=4)])
        await until(lambda: len(one.events) == 2)
        assert one.lanes == set(range(6))


async def test_a_lane_that_lost_its_partition_is_stopped_quietly(topic: Topic, group: str) -> None:
    async with member(source_of(topic, group)) as one:
        await until(lambda: len(one.lanes) == 4)
    assert not one.all_told(LaneLost)


async def test_a_static_member_that_is_back_finds_partitions_that_were_added_meanwhile(
    topic: Topic, group: str
) -> None:
    options = {"group_instance_id": "only", "metadata_refresh": "1s"}
    async with member(source_of(topic, group, **options)) as one:
        await until(lambda: len(one.lanes) == 4)
    await in_thread(topic.grow, 5)
    async with member(source_of(topic, group, **options)) as again:
        await until(lambda: len(again.lanes) == 5, "the group has not shared out the new one")
        assert again.rebalances
