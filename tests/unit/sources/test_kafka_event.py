"""Bytes of the event of a topic: AWS's shape, exact sizes, both kinds of brokers."""

import json
from typing import Any

import pytest
from confluent_kafka import Message

from esm.core.batching import PAYLOAD_LIMIT
from esm.core.filtering import KAFKA, FilterSet
from esm.model import Lane, Record
from esm.sources.kafka import event as event_module
from esm.sources.kafka.event import Encoder, Envelope, KafkaCodec

SELF = Envelope("b1:9092,b2:9092", "my-topic")
MSK = Envelope("b1:9092", "my-topic", "arn:aws:kafka:us-east-1:123456789012:cluster/c/uuid-2")


def message(offset: int = 15, **given: Any) -> Message:
    fields: dict[str, Any] = {"key": b"recordKey", "value": b'{"key":"value"}', "headers": None} | given
    at = fields.pop("timestamp", (1, 1545084650987))
    return Message(topic="my-topic", partition=3, offset=offset, timestamp=at, **fields)


def records(*messages: Message, envelope: Envelope = SELF) -> list[Record]:
    made, rejected, size = Encoder(envelope, 3).encode(messages, 7.0, 9.0)
    assert not rejected
    assert size == sum(len(record.event) for record in made)
    return made


def test_it_is_awss_key_by_key_and_in_its_order() -> None:
    headers = [("headerKey", bytes([118, 220, 0, 127, 128]))]
    event = KafkaCodec(lambda: MSK).render(records(message(headers=headers), envelope=MSK))
    assert event == (
        b'{"eventSource":"aws:kafka","eventSourceArn":"arn:aws:kafka:us-east-1:123456789012:cluster/c/uuid-2",'
        b'"bootstrapServers":"b1:9092","records":{"my-topic-3":[{"topic":"my-topic","partition":3,"offset":15,'
        b'"timestamp":1545084650987,"timestampType":"CREATE_TIME","key":"cmVjb3JkS2V5",'
        b'"value":"eyJrZXkiOiJ2YWx1ZSJ9","headers":[{"headerKey":[118,-36,0,127,-128]}]}]}}'
    )


def test_brokers_of_ones_own_have_no_arn() -> None:
    event = json.loads(KafkaCodec(lambda: SELF).render(records(message())))
    assert list(event) == ["eventSource", "bootstrapServers", "records"]
    assert event["eventSource"] == "SelfManagedKafka"


def test_the_frame_is_that_of_the_longest_partition() -> None:
    codec = KafkaCodec(lambda: SELF)
    made = records(message(15), message(16))
    around = len(codec.render(made)) - sum(len(record.event) for record in made) - 1
    assert around == codec.frame - 9


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({"key": None}, {"value": "eyJrZXkiOiJ2YWx1ZSJ9", "headers": []}),
        ({"key": b"", "value": b""}, {"key": "", "value": "", "headers": []}),
        ({"value": None}, {"key": "cmVjb3JkS2V5", "value": None, "headers": []}),
        ({"key": None, "value": None, "headers": [("a", None)]}, {"value": None, "headers": [{"a": None}]}),
    ],
)
def test_what_is_missing_or_empty(given: dict[str, Any], shape: dict[str, Any]) -> None:
    (record,) = records(message(**given))
    event = json.loads(record.event)
    assert {name: event[name] for name in ("key", "value", "headers") if name in event} == shape


def test_a_record_knows_its_place_time_and_key() -> None:
    first, second = records(message(15), message(20, key=None, timestamp=(2, 1000)))
    assert (first.seq, first.id, first.key, first.position) == (0, "my-topic-3@15", "recordKey", 15)
    assert (first.arrived, first.read) == (1545084650.987, 7.0)
    assert (second.seq, second.key, second.arrived) == (1, "my-topic-3@20", 1.0)
    assert json.loads(second.event)["timestampType"] == "LOG_APPEND_TIME"


def test_keys_are_told_apart_whatever_their_bytes() -> None:
    keys = [record.key for record in records(*(message(key=bytes([byte])) for byte in range(256)))]
    assert len(set(keys)) == 256


def test_a_record_without_a_time_arrived_now() -> None:
    (record,) = records(message(timestamp=(0, -1)))
    assert record.arrived == 9.0
    assert json.loads(record.event)["timestampType"] == "NO_TIMESTAMP_TYPE"


def test_a_time_before_1970_is_none() -> None:
    """Kafka writes -1 for a record that has none, also where it says that the producer gave it."""
    (record,) = records(message(timestamp=(1, -1)))
    assert record.arrived == 9.0


def test_a_header_with_a_name_that_is_not_text_does_not_stop_the_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the client library makes of it; it is asked once, because the second answer ends the process."""
    asked: list[int | None] = []

    def headers(given: Message) -> Any:
        asked.append(given.offset())
        if given.offset() == 16:
            raise SystemError("returned a result with an exception set")
        return given.headers()

    monkeypatch.setattr(event_module, "_read_headers", headers)
    made = records(message(15), message(16), message(17, headers=[("a", b"1")]))
    assert [json.loads(record.event)["headers"] for record in made] == [[], [{"\ufffd": None}], [{"a": [49]}]]
    assert asked == [15, 16, 17]


def test_one_that_is_too_large_is_rejected_with_its_number() -> None:
    encoder = Encoder(SELF, 3)
    made, rejected, _ = encoder.encode([message(1), message(2, value=b"x" * PAYLOAD_LIMIT), message(3)], 0.0, 0.0)
    assert [record.seq for record in made] == [0, 2]
    assert [(each.record.seq, each.record.position) for each in rejected] == [(1, 2)]
    assert "of this record alone takes" in rejected[0].why


def test_the_largest_that_fits_fills_the_payload() -> None:
    envelope = KafkaCodec(lambda: SELF)
    (small,) = records(message(value=b""))
    room = PAYLOAD_LIMIT - len(envelope.render([small]))
    value = b"x" * (room // 4 * 3)
    (record,) = records(message(value=value))
    assert PAYLOAD_LIMIT - 4 < len(envelope.render([record])) <= PAYLOAD_LIMIT
    assert Encoder(SELF, 3).encode([message(value=value + b"xxx")], 0.0, 0.0)[1]


def test_a_batch_is_described_in_awss_words() -> None:
    codec = KafkaCodec(lambda: MSK)
    made = records(message(15), message(16, timestamp=(1, 1545084651000)), envelope=MSK)
    assert codec.describe(Lane("my-topic-3"), made) == {
        "KafkaBatchInfo": {
            "batchSize": 2,
            "eventSourceArn": MSK.arn,
            "bootstrapServers": "b1:9092",
            "payloadSize": len(codec.render(made)),
            "recordsInfo": {
                "my-topic-3": {
                    "firstRecordOffset": "15",
                    "lastRecordOffset": "16",
                    "firstRecordTimestamp": "2018-12-17T22:10:50.987Z",
                    "lastRecordTimestamp": "2018-12-17T22:10:51.000Z",
                }
            },
        }
    }


def test_a_time_that_no_calendar_has_can_be_described() -> None:
    """Some write microseconds instead of milliseconds, and what cannot be told of is never given up."""
    made = records(message(15, timestamp=(1, 1_545_084_650_987_000)), message(16, timestamp=(1, 2**63 - 1)))
    (told,) = KafkaCodec(lambda: SELF).describe(Lane("my-topic-3"), made)["KafkaBatchInfo"]["recordsInfo"].values()
    assert told["firstRecordTimestamp"] == "50931-10-14T04:49:47.000Z"
    assert told["lastRecordTimestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [
        ('{"value": {"key": ["value"]}}', True),
        ('{"value": {"key": ["other"]}}', False),
        ('{"key": ["recordKey"]}', True),
        ('{"topic": ["my-topic"], "partition": [3]}', True),
    ],
)
def test_patterns_see_key_and_value_decoded(pattern: str, passes: bool) -> None:  # noqa: FBT001 - a row
    (record,) = records(message())
    view = KafkaCodec(lambda: SELF).view(record)
    assert FilterSet([pattern], KAFKA).keeps(view) == passes
