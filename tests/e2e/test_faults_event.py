"""The event as a function gets it over the wire, byte for byte, and a Python handler as the function."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from servers import Server

from .function import Function
from .harness import daemon, mapping, until, write_config
from .queue_account import Oracle

NewOracle = Callable[..., Oracle]

_BODIES = {
    "text": "plain",
    "unicode": 'Grüße, 東京, 😀, \u2028 "quoted" \\ \t and a line\nbreak',
    "json": '{"a": [1, 2.50, null], "b":  "spaces stay"}',
    "large": "x" * (1024 * 1024),
}
_ATTRIBUTES = {
    "text": {"DataType": "String", "StringValue": "Grüße"},
    "number": {"DataType": "Number.int", "StringValue": "6"},
    "binary": {"DataType": "Binary", "BinaryValue": b"\x00\xff\x10esm"},
}
_SEEN_ATTRIBUTES = {
    "text": {"stringValue": "Grüße", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
    "number": {"stringValue": "6", "stringListValues": [], "binaryListValues": [], "dataType": "Number.int"},
    "binary": {"binaryValue": "AP8QZXNt", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
}
_KEYS = [
    "messageId",
    "receiptHandle",
    "body",
    "attributes",
    "messageAttributes",
    "md5OfMessageAttributes",
    "md5OfBody",
    "eventSource",
    "eventSourceARN",
    "awsRegion",
]
_SYSTEM = ["ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"]
_FIFO = [
    "ApproximateReceiveCount",
    "SentTimestamp",
    "SequenceNumber",
    "MessageGroupId",
    "SenderId",
    "MessageDeduplicationId",
    "ApproximateFirstReceiveTimestamp",
]


@pytest.fixture
def served(functions: Callable[[], Function]) -> Function:
    return functions()


def _payloads(config: Path, served: Function, records: int) -> list[bytes]:
    def seen() -> bool:
        return sum(served.done.values()) == records

    with daemon(config) as running:
        assert running.url
        until(seen, "all records are seen")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    return served.payloads


def _record(payload: bytes) -> dict[str, Any]:
    """The only record of an event that is as compact as JSON can be."""
    event = json.loads(payload)
    assert payload == json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    assert list(event) == ["Records"]
    (record,) = event["Records"]
    return dict(record)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("window", [0, 1])
def test_a_message_arrives_as_aws_would_send_it(
    tmp_path: Path, sqs_server: Server, new_oracle: NewOracle, served: Function, window: int
) -> None:
    oracle = new_oracle(sqs_server)
    client = oracle.client
    sent = {body: client.send_message(QueueUrl=oracle.queue.url, MessageBody=body) for body in _BODIES.values()}
    sent["attributes"] = client.send_message(
        QueueUrl=oracle.queue.url, MessageBody="attributes", MessageAttributes=_ATTRIBUTES
    )
    orders = mapping(oracle.queue, served.url, batch_size=1, maximum_batching_window_in_seconds=window)
    config = write_config(tmp_path / "esm.yaml", sqs_server.endpoint_url, {"orders": orders})
    records = [_record(payload) for payload in _payloads(config, served, len(sent))]
    assert sorted(record["body"] for record in records) == sorted(sent)
    for record in records:
        answer = sent[record["body"]]
        with_attributes = "MD5OfMessageAttributes" in answer
        expected = [key for key in _KEYS if key != "md5OfMessageAttributes" or with_attributes or window]
        assert list(record) == expected
        assert record["messageId"] == answer["MessageId"]
        assert record["receiptHandle"]
        assert record.get("md5OfMessageAttributes") == answer.get("MD5OfMessageAttributes")
        assert record["md5OfBody"] == md5(record["body"].encode()).hexdigest()
        assert record["messageAttributes"] == (_SEEN_ATTRIBUTES if with_attributes else {})
        assert [list(each) for each in record["messageAttributes"].values()] == [
            list(_SEEN_ATTRIBUTES[name]) for name in record["messageAttributes"]
        ]
        _check_tail(record, oracle, _SYSTEM)


@pytest.mark.timeout(60)
def test_a_fifo_message_brings_its_group_along(
    tmp_path: Path, sqs_server: Server, new_oracle: NewOracle, served: Function
) -> None:
    oracle = new_oracle(sqs_server, fifo=True)
    oracle.send(["Grüße"], "group-1")
    config = write_config(
        tmp_path / "esm.yaml", sqs_server.endpoint_url, {"orders": mapping(oracle.queue, served.url)}
    )
    (payload,) = _payloads(config, served, 1)
    record = _record(payload)
    assert record["attributes"]["MessageGroupId"] == "group-1"
    assert record["attributes"]["SequenceNumber"].isdigit()
    _check_tail(record, oracle, _FIFO)


def _check_tail(record: dict[str, Any], oracle: Oracle, attributes: list[str]) -> None:
    """Servers know fewer or more attributes than AWS; what they know stands in AWS's order."""
    found = record["attributes"]
    assert all(isinstance(value, str) for value in found.values())
    assert [name for name in found if name in attributes] == [name for name in attributes if name in found]
    assert found["ApproximateReceiveCount"] == "1"
    assert len(found["SentTimestamp"]) == len(found["ApproximateFirstReceiveTimestamp"]) == 13
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == oracle.queue.arn
    assert record["awsRegion"] == "us-east-1"


_HANDLER = """
import json, os, pathlib, time

def handle(event, context):
    bodies = [record["body"] for record in event["Records"]]
    counts = [int(record["attributes"]["ApproximateReceiveCount"]) for record in event["Records"]]
    journal = pathlib.Path(__file__).with_name("journal")
    line = {"bodies": bodies, "counts": counts, "pid": os.getpid(), "request": context.aws_request_id,
            "left": context.get_remaining_time_in_millis(), "name": context.function_name}
    with journal.open("a") as file:
        file.write(json.dumps(line) + chr(10))
    while "stuck" in bodies:
        time.sleep(0.01)
    return {"batchItemFailures": []}
"""


@pytest.mark.timeout(60)
def test_a_python_handler_that_hangs_is_ended_and_its_message_becomes_a_dead_letter(
    tmp_path: Path, ministack: Server, new_oracle: NewOracle
) -> None:
    """The timeout is longer than the visibility timeout: what hangs is not delivered a second time meanwhile."""
    oracle = new_oracle(ministack, visibility=2, max_receives=2)
    (tmp_path / "a_handler.py").write_text(_HANDLER)
    journal = tmp_path / "journal"
    target = {
        "type": "python",
        "handler": "a_handler:handle",
        "path": str(tmp_path),
        "timeout": "3s",
        "workers": 2,
    }
    orders = mapping(oracle.queue, target, batch_size=1, function_response_types=["ReportBatchItemFailures"])
    config = write_config(tmp_path / "esm.yaml", ministack.endpoint_url, {"orders": orders})
    oracle.send(["stuck", *(f"order-{number}" for number in range(15))])
    with daemon(config) as running:
        assert running.url
        oracle.drained()
        status = running.status("orders")
        calls = [json.loads(line) for line in journal.read_text().splitlines()]
        stuck = [call for call in calls if call["bodies"] == ["stuck"]]
        assert not any(map(_runs, (call["pid"] for call in stuck))), "a hung process was left behind"
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    assert oracle.dead() == ["stuck"]
    assert [call["counts"] for call in stuck] == [[1], [2]]
    others = [call["bodies"][0] for call in calls if call["bodies"] != ["stuck"]]
    assert sorted(["stuck", *others]) == sorted(oracle.sent)
    assert status["counts"]["invocations"]["timeout"] == 2
    assert all(0 < call["left"] <= 3000 for call in calls)
    assert len({call["request"] for call in calls}) == len(calls)
    assert not any(map(_runs, {call["pid"] for call in calls})), "a worker outlived the daemon"


def _runs(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
