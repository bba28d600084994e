"""Records of every shape on Apache Kafka, as a function gets them."""

import base64
import itertools
import json
from typing import Any

import pytest
from kafka_members import in_thread, member, refusing, source_of, until

from esm.core.batching import PAYLOAD_LIMIT
from esm.model import Invocation, Reply, Returned
from esm.runtime.lane_happenings import Dropped
from servers import Server
from servers.raw_headers import produce_with_header
from servers.topics import Record, Topic, TopicMaker

NUMBERS = itertools.count()
MEGABYTE = 1_000_000


@pytest.fixture
def topic(kafka: Server, make_topic: TopicMaker) -> Topic:
    return make_topic(kafka.address)


@pytest.fixture
def group() -> str:
    return f"records-{next(NUMBERS)}"


async def delivered(topic: Topic, group: str, count: int, **options: Any) -> list[dict[str, Any]]:
    async with member(source_of(topic, group, **options)) as one:
        await until(lambda: len(one.events) == count)
    return one.events


async def test_the_event_is_awss(topic: Topic, group: str) -> None:
    await in_thread(
        topic.produce,
        [
            Record(
                b'{"key":"value"}', b"recordKey", [("headerKey", bytes([118, 220, 0, 127, 128]))], 0, 1545084650987
            )
        ],
    )
    events: list[Any] = []

    def keep(call: Invocation) -> Returned:
        events.append(json.loads(call.payload))
        return Returned(b"")

    async with member(source_of(topic, group)) as one:
        one.answer = keep
        await until(lambda: events)
    assert events == [
        {
            "eventSource": "SelfManagedKafka",
            "bootstrapServers": topic.bootstrap,
            "records": {
                f"{topic.name}-0": [
                    {
                        "topic": topic.name,
                        "partition": 0,
                        "offset": 0,
                        "timestamp": 1545084650987,
                        "timestampType": "CREATE_TIME",
                        "key": "cmVjb3JkS2V5",
                        "value": "eyJrZXkiOiJ2YWx1ZSJ9",
                        "headers": [{"headerKey": [118, -36, 0, 127, -128]}],
                    }
                ]
            },
        }
    ]


async def test_what_has_no_key_no_value_or_empty_ones(topic: Topic, group: str) -> None:
    await in_thread(
        topic.produce,
        [
            Record(None, b"tombstone"),
            Record(b"", b""),
            Record(b"x"),
            Record(b"x", b"k", [("a", b""), ("a", None), ("b", b"1")]),
        ],
    )
    shapes = [
        {name: event[name] for name in ("key", "value", "headers") if name in event}
        for event in await delivered(topic, group, 4)
    ]
    assert shapes == [
        {"key": base64.b64encode(b"tombstone").decode(), "value": None, "headers": []},
        {"key": "", "value": "", "headers": []},
        {"value": "eA==", "headers": []},
        {"key": "aw==", "value": "eA==", "headers": [{"a": []}, {"a": None}, {"b": [49]}]},
    ]


async def test_a_header_with_a_name_that_is_not_text(topic: Topic, group: str) -> None:
    """Brokers take it; the rest of the partition comes all the same, also where the loop that reads it is warm."""
    await in_thread(topic.produce, [b"before"] * 100)
    await in_thread(produce_with_header, topic, b"\xff\xfe", b"it")
    await in_thread(topic.produce, [b"behind"])
    *before, it, behind = await delivered(topic, group, 102)
    assert (base64.b64decode(it["value"]), it["headers"]) == (b"it", [{"\ufffd": None}])
    assert [event["headers"] for event in (*before, behind)] == [[]] * 101


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_batches(topic: Topic, group: str, codec: str) -> None:
    values = [b"%d" % number * 50 for number in range(200)]
    await in_thread(topic.produce, values, **{"compression.type": codec, "linger.ms": 50})
    events = await delivered(topic, group, 200)
    assert [base64.b64decode(event["value"]) for event in events] == values


async def test_records_of_transactions_that_are_not_committed_are_passed_over(topic: Topic, group: str) -> None:
    await in_thread(topic.produce, [b"1"])
    await in_thread(topic.transaction, [b"2", b"3"])
    await in_thread(topic.transaction, [b"4"], commit=False)
    await in_thread(topic.produce, [b"5"])
    await in_thread(topic.transaction, [b"6"], commit=False)
    async with member(source_of(topic, group)) as one:
        await until(lambda: len(one.events) == 4)
        end = (await in_thread(topic.ends))[0]
        await until(lambda: _lane(one).at == end - 1, "the markers are not passed over")
        assert _lane(one).behind == 0
    assert [base64.b64decode(event["value"]) for event in one.events] == [b"1", b"2", b"3", b"5"]
    assert (await in_thread(topic.committed, group))[0].offset == end
    everything = await delivered(topic, f"{group}-all", 6, isolation_level="read_uncommitted")
    assert [base64.b64decode(event["value"]) for event in everything] == [b"1", b"2", b"3", b"4", b"5", b"6"]


def _lane(one: Any) -> Any:
    (lane,) = one.engine.board.mapping("m").lanes.values()
    return lane.figures


async def test_offsets_may_have_gaps(kafka: Server, make_topic: TopicMaker, group: str) -> None:
    """What a compacted topic looks like: aborted transactions leave gaps that are as wide as one likes."""
    topic = make_topic(kafka.address)
    for number in range(3):
        await in_thread(topic.transaction, [b"gone"] * 50, commit=False)
        await in_thread(topic.produce, [b"%d" % number])
    events = await delivered(topic, group, 3)
    assert [event["offset"] for event in events] == [51, 103, 155]
    assert (await in_thread(topic.committed, group))[0].offset == 156


async def test_large_records_and_one_that_is_too_large(kafka: Server, make_topic: TopicMaker, group: str) -> None:
    topic = make_topic(kafka.address, settings={"max.message.bytes": "12000000"})
    big = {"message.max.bytes": 12_000_000}
    sizes = [2 * MEGABYTE, 3 * MEGABYTE, PAYLOAD_LIMIT * 3 // 4 + 1000, 4 * MEGABYTE, 10]
    await in_thread(topic.produce, [b"x" * size for size in sizes], **big)
    async with member(source_of(topic, group), batch_size=10) as one:
        await until(lambda: len(one.events) == 4)
        await until(lambda: one.all_told(Dropped))
        (dropped,) = one.all_told(Dropped)
        assert dropped.reason == "MaximumPayloadSizeExceeded"
        await until(lambda: _lane(one).at == 4)
    assert [event["offset"] for event in one.events] == [0, 1, 3, 4]


async def test_only_what_is_listed_comes_again(topic: Topic, group: str) -> None:
    await in_thread(topic.produce, [b"%d" % number for number in range(5)])

    def reporting(call: Invocation) -> Returned:
        (partition, records) = next(iter(json.loads(call.payload)["records"].items()))
        if len(records) == 1:
            return Returned(b"")
        failed = {"itemIdentifier": {"partition": partition, "offset": 2}}
        return Returned(json.dumps({"batchItemFailures": [failed]}).encode())

    async with member(source_of(topic, group), reports_failures=True) as one:
        one.answer = reporting
        await until(lambda: len(one.events) == 6)
    assert [event["offset"] for event in one.events] == [0, 1, 2, 3, 4, 2]


async def test_a_stuck_key_does_not_keep_the_others(topic: Topic, group: str) -> None:
    """D12: order is kept per key, and records without one have none."""
    keys: list[bytes | None] = [b"stuck", b"a", None, b"stuck", b"b", None]
    await in_thread(topic.produce, [Record(b"x", key) for key in keys])

    def stuck(call: Invocation) -> Reply:
        records = next(iter(json.loads(call.payload)["records"].values()))
        if any(record.get("key") == base64.b64encode(b"stuck").decode() for record in records):
            return refusing(call)
        return Returned(b"")

    async with member(source_of(topic, group), batch_size=1, parallelization_factor=10) as one:
        one.answer = stuck
        await until(lambda: {event["offset"] for event in one.events} == {1, 2, 4, 5})
    assert (await in_thread(topic.committed, group))[0].offset == 0
