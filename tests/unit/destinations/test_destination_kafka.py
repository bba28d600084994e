"""What a topic is written of records that were given up, byte by byte where AWS says it."""

import json
from base64 import b64encode
from typing import Any

import pytest

from esm.clients.kafka.producing import Outgoing
from esm.core.notice import EXTENSION
from esm.destinations import BUILT_IN
from esm.destinations.kafka import KafkaOptions
from esm.destinations.kafka_messages import messages_of
from esm.errors import Undeliverable
from esm.model import Notice
from esm.plugins import DestinationPlugin

AT = 1573691886.021
LIMIT = 1_000_000
ENVELOPE = {"eventSource": "SelfManagedKafka", "bootstrapServers": "b1:9092"}
PLUGIN: DestinationPlugin = {plugin.name: plugin for plugin in BUILT_IN}["kafka"]


def record(offset: int = 7, **members: Any) -> dict[str, Any]:
    given = {
        "topic": "orders",
        "partition": 3,
        "offset": offset,
        "timestamp": 1573691884835,
        "timestampType": "CREATE_TIME",
        "value": b64encode(b"one").decode(),
        "headers": [],
    }
    return {**given, **members}


def notice(*records: dict[str, Any], **extension: Any) -> Notice:
    document: dict[str, Any] = {
        "requestContext": {
            "requestId": "1",
            "functionArn": "orders",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2019-11-14T00:38:06.021Z",
        "KafkaBatchInfo": {
            "batchSize": len(records),
            "bootstrapServers": "b1:9092",
            "payloadSize": 500,
            "recordsInfo": {"orders-3": {"firstRecordOffset": "7"}},
        },
    }
    if extension:
        document[EXTENSION] = {**extension, "records": list(records)}
    event = json.dumps({**ENVELOPE, "records": {"orders-3": list(records)}}).encode()
    return Notice(document, event, AT, "scope", "orders-3")


def document(message: Outgoing) -> dict[str, Any]:
    assert message.value is not None
    found: dict[str, Any] = json.loads(message.value)
    return found


def test_awss_document_is_about_one_record() -> None:
    given = record(key=b64encode(b"k").decode())
    (message,) = messages_of(notice(given), "document", LIMIT)
    payload = {**ENVELOPE, "records": {"orders-3": [given]}}
    assert message.key == b"k"
    assert json.dumps(document(message)) == json.dumps(
        {
            "requestContext": {
                "requestId": "1",
                "functionArn": "orders",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0",
            "timestamp": "2019-11-14T00:38:06.021Z",
            "KafkaBatchInfo": {
                "batchSize": 1,
                "bootstrapServers": "b1:9092",
                "payloadSize": len(json.dumps(payload, separators=(",", ":"))),
                "recordInfo": {"offset": "7", "timestamp": "2019-11-14T00:38:04.835Z"},
            },
            "payload": payload,
        }
    )


def test_each_record_has_a_message_with_its_own_key() -> None:
    keys = {7: b"\x00\xff", 8: b"", 9: None}
    records = [record(n, **({} if key is None else {"key": b64encode(key).decode()})) for n, key in keys.items()]
    messages = messages_of(notice(*records), "document", LIMIT)
    told = {int(document(one)["KafkaBatchInfo"]["recordInfo"]["offset"]): one.key for one in messages}
    assert told == keys


def test_headers_are_the_records_own_and_what_went_wrong() -> None:
    given = record(headers=[{"trace": [-1, 0, 127]}, {"empty": []}, {"null": None}])
    error = {"outcome": "function_error", "type": "ValueError", "text": "größer\n"}
    (message,) = messages_of(notice(given, mapping="m", attempts=3, error=error), "document", LIMIT)
    assert message.headers == [
        ("trace", b"\xff\x00\x7f"),
        ("empty", b""),
        ("null", None),
        ("esm.condition", b"RetriesExhausted"),
        ("esm.function", b"orders"),
        ("esm.attempts", b"3"),
        ("esm.mapping", b"m"),
        ("esm.outcome", b"function_error"),
        ("esm.error-type", b"ValueError"),
        ("esm.error", "größer\n".encode()),
        ("esm.topic", b"orders"),
        ("esm.partition", b"3"),
        ("esm.offset", b"7"),
        ("esm.timestamp", b"1573691884835"),
    ]
    assert document(message)[EXTENSION] == {"mapping": "m", "attempts": 3, "error": error}


@pytest.mark.parametrize(
    ("value", "written"), [(b64encode(b"\x00one").decode(), b"\x00one"), ("", b""), (None, None)]
)
def test_the_records_own_value_with_the_document_in_a_header(value: str | None, written: bytes | None) -> None:
    (message,) = messages_of(notice(record(value=value)), "record", LIMIT)
    assert message.value == written
    bare = json.loads(dict(message.headers)["esm.document"] or b"")
    assert bare["KafkaBatchInfo"]["recordInfo"]["offset"] == "7"
    assert "payload" not in bare


@pytest.mark.parametrize("form", ["document", "record"])
def test_what_does_not_fit_goes_without_data_then_without_headers(form: Any) -> None:
    large = record(value=b64encode(b"x" * 5_000).decode(), headers=[{"own": [1] * 3_000}])
    (message,) = messages_of(notice(large), form, 5_000)
    assert "payload" not in document(message)
    assert "own" in dict(message.headers)
    (message,) = messages_of(notice(large), form, 3_000)
    assert {name.partition(".")[0] for name, _ in message.headers} == {"esm"}
    with pytest.raises(Undeliverable, match="and 600 are taken: raise max_bytes"):
        messages_of(notice(large), form, 600)


def test_a_record_without_timestamp_has_that_of_the_document() -> None:
    (message,) = messages_of(notice(record(timestamp=-1)), "document", LIMIT)
    assert document(message)["KafkaBatchInfo"]["recordInfo"]["timestamp"] == "2019-11-14T00:38:06.021Z"


def test_a_time_that_no_calendar_has_is_told() -> None:
    (message,) = messages_of(notice(record(timestamp=1_545_084_650_987_000)), "document", LIMIT)
    assert document(message)["KafkaBatchInfo"]["recordInfo"]["timestamp"] == "50931-10-14T04:49:47.000Z"


def test_iam_needs_to_write_to_the_topic() -> None:
    arn = "arn:aws:kafka:eu-west-1:123456789012:cluster/c/uuid-2"
    options = KafkaOptions.model_validate({"cluster_arn": arn, "topic": "failed"})
    brokers, cluster, topic = PLUGIN.permissions(options, {})
    assert brokers.resource == cluster.resource == arn
    assert topic.resource == "arn:aws:kafka:eu-west-1:123456789012:topic/c/uuid-2/failed"
    assert topic.actions == ("kafka-cluster:DescribeTopic", "kafka-cluster:WriteData")
