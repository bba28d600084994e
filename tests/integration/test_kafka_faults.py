"""Brokers that fail in the middle of it: nothing is lost, nothing is stuck, and what comes twice has a reason."""

import itertools
import threading

import pytest
from confluent_kafka import Consumer, KafkaError
from kafka_members import Member, each_once, in_thread, member, source_of, until

from esm.clients.kafka import asking
from esm.runtime.happenings import SourceFailed, SourceRecovered
from esm.runtime.lane_happenings import Committed, LaneLost, Stalled
from esm.sources.kafka import readings
from esm.sources.kafka.readings import Readings
from servers import Server
from servers.kafka_evictions import evict
from servers.kafka_mock import MockKafka, Request
from servers.topics import Record, Topic, TopicMaker

NUMBERS = itertools.count()
QUICK = {"heartbeat.interval.ms": 200, "fetch.wait.max.ms": 10}


@pytest.fixture
def topic(kafka_mock: MockKafka) -> Topic:
    name = f"faults-{next(NUMBERS)}"
    kafka_mock.create(name, 2, 3)
    return Topic(name, {"bootstrap.servers": kafka_mock.bootstrap})


def both_at(one: Member, at: int) -> bool:
    """Both lanes have it written down."""
    return len({told.lane for told in one.all_told(Committed) if told.at == at}) == 2


def records(count: int) -> list[Record]:
    return [Record(b"%d" % number, partition=number % 2) for number in range(count)]


@pytest.mark.parametrize(
    "error",
    [
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
    ],
)
async def test_a_commit_that_fails_is_tried_again(kafka_mock: MockKafka, topic: Topic, error: int) -> None:
    await in_thread(topic.produce, records(20))
    async with member(source_of(topic, "g", settings=QUICK), checkpoint_interval=0.1) as one:
        await until(lambda: len(one.events) == 20)
        kafka_mock.fail(Request.OFFSET_COMMIT, error, error)
        await in_thread(topic.produce, records(20))
        await until(lambda: both_at(one, 19))
    assert {number: place.offset for number, place in (await in_thread(topic.committed, "g")).items()} == {
        0: 20,
        1: 20,
    }
    assert each_once(one) == {0: list(range(20)), 1: list(range(20))}
    assert not one.all_told(LaneLost)
    assert not one.all_told(Stalled)


async def test_a_coordinator_that_nobody_finds_is_told_of(
    kafka_mock: MockKafka, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where brokers call themselves what is unknown here: the topic is found, and the group never is."""
    monkeypatch.setattr(asking, "_PATIENCE", 0.5)
    monkeypatch.setattr(asking, "_AT_A_TIME", 0.2)
    await in_thread(topic.produce, records(2))
    kafka_mock.fail(Request.FIND_COORDINATOR, *[KafkaError.COORDINATOR_NOT_AVAILABLE] * 1_000)
    async with member(source_of(topic, "unfound", settings=QUICK)) as one:
        await until(lambda: one.all_told(SourceFailed))
        kafka_mock.fail_no_more(Request.FIND_COORDINATOR)
        monkeypatch.undo()
        await until(lambda: len(one.events) == 2)


async def test_a_generation_that_is_over(kafka_mock: MockKafka, topic: Topic) -> None:
    """The client joins anew; what was finished and not committed comes again, and nothing else."""
    await in_thread(topic.produce, records(20))
    async with member(source_of(topic, "g", settings=QUICK, session_timeout=6), checkpoint_interval=0.1) as one:
        await until(lambda: both_at(one, 9))
        kafka_mock.fail(Request.OFFSET_COMMIT, *[KafkaError.ILLEGAL_GENERATION] * 2)
        await in_thread(topic.produce, records(20))
        await until(lambda: both_at(one, 19))
    committed = await in_thread(topic.committed, "g")
    assert {number: place.offset for number, place in committed.items()} == {0: 20, 1: 20}
    for offsets in one.offsets.values():
        assert offsets[:10] == list(range(10))
        assert set(offsets[10:]) == set(range(10, 20))


async def test_a_member_that_was_taken_for_dead_reads_on_when_it_is_back(
    kafka: Server, make_topic: TopicMaker
) -> None:
    topic, group = await in_thread(make_topic, kafka.address, partitions=2), "taken-for-dead"
    await in_thread(topic.produce, records(20))
    source = source_of(topic, group, settings=QUICK)
    async with member(source, batch_size=10, checkpoint_interval=0.1) as one:
        await until(lambda: len(one.events) == 20)
        await until(lambda: both_at(one, 9))
        (id_,) = await in_thread(topic.members, group)
        await in_thread(evict, kafka.address, group, id_)
        await until(lambda: one.rebalances == ["assigned", "lost", "assigned"])
        await in_thread(topic.produce, records(20))
        await until(lambda: len(one.events) == 40, "a partition is silent after it came back")
        await until(lambda: both_at(one, 19))
    assert each_once(one) == {0: list(range(20)), 1: list(range(20))}


async def test_what_is_under_way_when_the_partitions_are_lost_comes_again(
    kafka: Server, make_topic: TopicMaker
) -> None:
    topic, group = await in_thread(make_topic, kafka.address, partitions=1), "lost-under-way"
    await in_thread(topic.produce, [b"x"] * 5)
    async with member(source_of(topic, group, settings=QUICK, drain=0.5)) as one:
        one.open.clear()
        await until(lambda: one.calls == 1)
        (id_,) = await in_thread(topic.members, group)
        await in_thread(evict, kafka.address, group, id_)
        await until(lambda: one.calls == 2, "the partition is silent after it came back")
        one.open.set()
        await until(lambda: len(one.events) == 5)
    assert one.offsets == {0: [*range(5)]}


async def test_a_partition_that_was_paused_when_it_was_lost_is_read_when_it_comes_back(
    kafka: Server, make_topic: TopicMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is paused because its lane has far too much; the other one, which is empty, keeps the polls going."""
    monkeypatch.setattr(readings, "_ROOM", 200_000)
    monkeypatch.setattr(readings, "_LEAST_ROOM", 100_000)
    balance, is_paused = Readings.balance, threading.Event()

    def balanced(self: Readings, consumer: Consumer) -> None:
        balance(self, consumer)
        if any(reading.is_paused for reading in self._open.values()):
            is_paused.set()

    monkeypatch.setattr(Readings, "balance", balanced)
    topic, group = await in_thread(make_topic, kafka.address, partitions=2), "paused-and-lost"
    await in_thread(topic.produce, [Record(b"x" * 1000, partition=0)] * 5000)
    async with member(source_of(topic, group, settings=QUICK, drain=0.5)) as one:
        one.open.clear()
        await until(is_paused.is_set)
        (id_,) = await in_thread(topic.members, group)
        await in_thread(evict, kafka.address, group, id_)
        await until(lambda: one.rebalances == ["assigned", "lost", "assigned"])
        one.open.set()
        await until(lambda: set(one.offsets.get(0, ())) == {*range(5000)}, "the partition stays silent")


async def test_a_coordinator_that_moves(kafka_mock: MockKafka, topic: Topic) -> None:
    await in_thread(topic.produce, records(20))
    kafka_mock.coordinate("g", 1)
    async with member(source_of(topic, "g", settings=QUICK), checkpoint_interval=0.1) as one:
        await until(lambda: len(one.events) == 20)
        kafka_mock.coordinate("g", 2)
        await in_thread(topic.produce, records(20))
        await until(lambda: both_at(one, 19))
    assert each_once(one) == {0: list(range(20)), 1: list(range(20))}


async def test_brokers_that_are_gone_for_a_while(kafka_mock: MockKafka, topic: Topic) -> None:
    await in_thread(topic.produce, records(20))
    async with member(source_of(topic, "g", settings={**QUICK, "reconnect.backoff.max.ms": 500})) as one:
        await until(lambda: len(one.events) == 20)
        kafka_mock.down()
        await until(lambda: one.all_told(SourceFailed))
        assert one.all_told(SourceFailed)[0].code == "unreachable"
        kafka_mock.up()
        await in_thread(topic.produce, records(20))
        await until(lambda: len(one.events) == 40)
        assert one.all_told(SourceRecovered)
    assert each_once(one) == {0: list(range(20)), 1: list(range(20))}


async def test_brokers_that_come_back_are_noticed_where_nothing_is_written(
    kafka_mock: MockKafka, topic: Topic
) -> None:
    def is_at_the_end(one: Member) -> bool:
        status = one.engine.board.mapping("m")
        return status is not None and [lane.figures.behind for lane in status.lanes.values()] == [0.0, 0.0]

    await in_thread(topic.produce, records(20))
    async with member(source_of(topic, "g", settings={**QUICK, "reconnect.backoff.max.ms": 500})) as one:
        await until(lambda: len(one.events) == 20 and is_at_the_end(one))
        kafka_mock.down()
        await until(lambda: one.all_told(SourceFailed))
        kafka_mock.up()
        await until(lambda: one.all_told(SourceRecovered), "they are back, and nobody is told")
