"""Where a topic's partitions begin, and what becomes of positions that are no longer there."""

import asyncio
import itertools
import time

import pytest
from kafka_members import commit, in_thread, member, source_of, until

from esm.runtime.happenings import Remarked, SourceFailed, SourceRecovered
from esm.runtime.lane_happenings import RecordsLost
from esm.sources.kafka.start import Origin
from servers import Server
from servers.topics import Record, Topic, TopicMaker

NUMBERS = itertools.count()


@pytest.fixture
def topic(kafka: Server, make_topic: TopicMaker) -> Topic:
    return make_topic(kafka.address, partitions=2)


@pytest.fixture
def group() -> str:
    return f"positions-{next(NUMBERS)}"


def at(partition: int, *values: bytes, timestamp: int = 0) -> list[Record]:
    return [Record(value, partition=partition, timestamp=timestamp) for value in values]


async def test_latest_is_committed_before_anything_is_read(topic: Topic, group: str) -> None:
    await in_thread(topic.produce, at(0, b"old", b"old"))
    async with member(source_of(topic, group, "LATEST")) as one:
        await until(lambda: len(one.lanes) == 2)
        committed = await in_thread(topic.committed, group)
        assert {number: place.offset for number, place in committed.items()} == {0: 2, 1: 0}
        await in_thread(topic.produce, at(0, b"new"))
        await until(lambda: one.events)
    assert one.offsets == {0: [2]}


async def test_latest_loses_nothing_between_two_runs(topic: Topic, group: str) -> None:
    async with member(source_of(topic, group, "LATEST")) as one:
        await until(lambda: len(one.lanes) == 2)
    await in_thread(topic.produce, [*at(0, b"a"), *at(1, b"b")])
    async with member(source_of(topic, group, "LATEST")) as again:
        await until(lambda: len(again.events) == 2)


async def test_a_partition_that_lost_its_position_begins_where_the_mapping_did(topic: Topic, group: str) -> None:
    """It was there when LATEST was resolved, but the process died before its position was written."""
    now = round(time.time()) * 1000
    await in_thread(topic.produce, at(1, b"old", timestamp=now - 60_000))
    await in_thread(topic.produce, at(1, b"new", timestamp=now - 20_000))
    await in_thread(commit, topic, group, {0: 0}, Origin(now - 40_000, partitions=2).beside(""))
    async with member(source_of(topic, group, "LATEST")) as one:
        await until(lambda: one.events)
        await until(lambda: len(one.lanes) == 2)
    assert one.offsets == {1: [1]}


async def test_a_partition_that_is_added_meanwhile_is_read_from_its_beginning(topic: Topic, group: str) -> None:
    async with member(source_of(topic, group, "LATEST")) as one:
        await until(lambda: len(one.lanes) == 2)
    await in_thread(topic.grow, 3)
    await in_thread(topic.produce, at(2, b"a", b"b", timestamp=1_000_000))
    async with member(source_of(topic, group, "LATEST")) as again:
        await until(lambda: len(again.events) == 2)
    assert again.offsets == {2: [0, 1]}


async def test_it_begins_at_a_time(topic: Topic, group: str) -> None:
    now = round(time.time())
    await in_thread(topic.produce, at(0, b"old", timestamp=(now - 60) * 1000))
    await in_thread(topic.produce, at(0, b"new", timestamp=(now - 20) * 1000))
    async with member(source_of(topic, group, "AT_TIMESTAMP", at=float(now - 40))) as one:
        await until(lambda: one.events)
        await until(lambda: len(one.lanes) == 2)
        await in_thread(topic.produce, at(1, b"late", timestamp=(now - 60) * 1000))
        await until(lambda: len(one.events) == 2)
    assert one.offsets == {0: [1], 1: [0]}


async def test_the_groups_own_positions_go_before_a_starting_position(topic: Topic, group: str) -> None:
    await in_thread(topic.produce, at(0, b"a", b"b", b"c"))
    await in_thread(commit, topic, group, {0: 1})
    async with member(source_of(topic, group, "LATEST")) as one:
        await until(lambda: len(one.events) == 2)
        assert one.offsets == {0: [1, 2]}
        (remark,) = one.all_told(Remarked)
        assert group in remark.text
        assert "LATEST is ignored" in remark.text
    async with member(source_of(topic, group, "LATEST")) as again:
        await until(lambda: len(again.lanes) == 2)
    assert not again.all_told(Remarked)


async def test_what_was_trimmed_is_counted(topic: Topic, group: str) -> None:
    await in_thread(topic.produce, at(0, *[b"x"] * 10))
    await in_thread(commit, topic, group, {0: 2, 1: 0})
    await in_thread(topic.trim, 0, 7)
    async with member(source_of(topic, group)) as one:
        await until(lambda: len(one.events) == 3)
        assert one.offsets == {0: [7, 8, 9]}
        assert [told.records for told in one.all_told(RecordsLost)] == [5]


async def test_a_position_beyond_the_end_is_of_a_topic_that_was_made_anew(topic: Topic, group: str) -> None:
    await in_thread(topic.produce, at(0, b"a", b"b"))
    await in_thread(commit, topic, group, {0: 500, 1: 0})
    async with member(source_of(topic, group)) as one:
        await until(lambda: len(one.events) == 2)
        assert one.offsets == {0: [0, 1]}
        assert [(told.lane, told.records) for told in one.all_told(RecordsLost)] == [(f"{topic.name}-0", 0)]
    committed = await in_thread(topic.committed, group)
    assert committed[0].offset == 2


async def test_a_topic_that_is_deleted_and_made_again(topic: Topic, group: str) -> None:
    await in_thread(topic.produce, at(0, *[b"x"] * 5))
    async with member(source_of(topic, group, "LATEST", metadata_refresh=1)) as one:
        await until(lambda: len(one.lanes) == 2)
        await in_thread(topic.produce, at(0, b"x"))
        await until(lambda: len(one.events) == 1)
        await in_thread(topic.delete)
        await until(lambda: any(told.code == "NonExistentTopic" for told in one.all_told(SourceFailed)))
        await in_thread(topic.create, 2, 1, {})
        await in_thread(topic.produce, at(0, b"y"))
        await until(lambda: len(one.events) == 2, patience=50)
        assert one.all_told(SourceRecovered)
        assert {(told.lane, told.records) for told in one.all_told(RecordsLost)} == {
            (f"{topic.name}-{number}", 0) for number in range(2)
        }
    assert one.offsets == {0: [5, 0]}


async def test_a_topic_that_is_missing_is_waited_for(kafka: Server, make_topic: TopicMaker, group: str) -> None:
    topic = Topic("nobody-made-this", {"bootstrap.servers": kafka.address})
    async with member(source_of(topic, group)) as one:
        await until(lambda: one.all_told(SourceFailed))
        (told, *_) = one.all_told(SourceFailed)
        assert told.code == "NonExistentTopic"
        await in_thread(topic.create, 1, 1, {})
        await in_thread(topic.produce, at(0, b"x"))
        await until(lambda: one.events, patience=50)


async def test_brokers_that_nobody_can_reach(group: str) -> None:
    topic = Topic("t", {"bootstrap.servers": "127.0.0.1:1"})
    source = source_of(topic, group, settings={"socket.connection.setup.timeout.ms": 1000})
    async with asyncio.timeout(30):
        (finding,) = await source.check()
    assert finding.broken
    assert finding.text.startswith("unreachable: ")
