"""Invocation records against what AWS sends, member for member and in its order."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.core.notice import Subject, invocation_record, notice, text_of, with_payload, without_records
from esm.core.notice_times import with_milliseconds, without_milliseconds
from esm.model import Drop, Errored, Lane, Outcome, Record, Refused, Reply, Returned

FUNCTION = "arn:aws:lambda:us-east-2:123456789012:function:myfunction"
AT = 1573691886.021
BATCH = {
    "KinesisBatchInfo": {
        "shardId": "shardId-000000000001",
        "startSequenceNumber": "49601189658422359378836298521827638475320189012309704722",
        "endSequenceNumber": "49601189658422359378836298522902373528957594348623495186",
        "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
        "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.580Z",
        "batchSize": 500,
        "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/mystream",
    }
}
# The sample of the page "kinesis-on-failure-destination" of the AWS Lambda guide.
GUIDE = """{
  "requestContext": {
    "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
    "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
    "condition": "RetryAttemptsExhausted",
    "approximateInvokeCount": 1
  },
  "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
  "version": "1.0",
  "timestamp": "2019-11-14T00:38:06.021Z",
  "KinesisBatchInfo": {
    "shardId": "shardId-000000000001",
    "startSequenceNumber": "49601189658422359378836298521827638475320189012309704722",
    "endSequenceNumber": "49601189658422359378836298522902373528957594348623495186",
    "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
    "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.580Z",
    "batchSize": 500,
    "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/mystream"
  }
}"""
MEMBERS = ["requestContext", "responseContext", "version", "timestamp", "KinesisBatchInfo"]


class Codec:
    frame = 14

    def render(self, records: Sequence[Record]) -> bytes:
        return b'{"Records":[' + b",".join(record.event for record in records) + b"]}"

    def view(self, record: Record) -> Mapping[str, Any]:
        return dict(json.loads(record.event))

    def describe(self, lane: Lane, records: Sequence[Record]) -> Mapping[str, Any]:
        return {"KinesisBatchInfo": {"shardId": lane.name, "batchSize": len(records)}}


def record(n: int, text: str = "x") -> Record:
    return Record(n, str(n), None, 0.0, 0.0, json.dumps({"n": n, "data": text}).encode(), None, n)


def dropped(reply: Reply | None, attempts: int = 3, condition: str = "RetryAttemptsExhausted") -> Drop:
    return Drop((record(1), record(2)), condition, attempts, reply)


def document(drop: Drop) -> dict[str, Any]:
    return invocation_record(drop, BATCH, FUNCTION, AT, "spare")


def extension(reply: Reply | None) -> dict[str, Any]:
    subject = Subject("scope", "orders", FUNCTION, annotate=True)
    made = notice(dropped(reply), Lane("shard"), Codec(), subject, at=AT, spare_id="spare")
    return dict(made.document["esm"])


def test_the_sample_of_the_guide_letter_for_letter() -> None:
    meta = {
        "request_id": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
        "executed_version": "$LATEST",
        "status_code": "200",
    }
    thrown = Errored(Outcome.FUNCTION_ERROR, "boom", {**meta, "function_error": "Unhandled"})
    assert text_of(document(dropped(thrown, 1))) == json.dumps(json.loads(GUIDE), separators=(",", ":"))


def test_a_batch_that_failed_through_its_items_has_no_function_error() -> None:
    answered = Returned(b'{"batchItemFailures":[{"itemIdentifier":"1"}]}', {"executed_version": "7"})
    made = document(dropped(answered, 4))
    assert made["responseContext"] == {"statusCode": 200, "executedVersion": "7", "functionError": None}
    assert '"functionError":null' in text_of(made)
    assert made["requestContext"]["approximateInvokeCount"] == 4


@pytest.mark.parametrize("attempts", [0, 1, 8])
def test_what_grew_too_old_has_no_response_and_was_invoked_at_least_once(attempts: int) -> None:
    made = document(dropped(Errored(Outcome.TIMEOUT, "late"), attempts, "RecordAgeExceeded"))
    assert list(made) == [name for name in MEMBERS if name != "responseContext"]
    assert made["requestContext"]["condition"] == "RecordAgeExceeded"
    assert made["requestContext"]["approximateInvokeCount"] == max(1, attempts)


def test_what_is_too_large_has_a_null_response() -> None:
    made = document(dropped(None, 0, "MaximumPayloadSizeExceeded"))
    assert list(made) == MEMBERS
    assert made["responseContext"] is None


@pytest.mark.parametrize(
    "reply",
    [None, Errored(Outcome.TIMEOUT, "late"), Refused(Outcome.THROTTLED, "busy", meta={"status_code": "x"})],
)
def test_what_nobody_told_has_awss_usual_values(reply: Reply | None) -> None:
    made = document(dropped(reply))
    assert made["requestContext"]["requestId"] == "spare"
    assert made["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }


def test_the_status_is_a_number() -> None:
    made = document(dropped(Errored(Outcome.FUNCTION_ERROR, "boom", {"status_code": "502"})))
    assert made["responseContext"]["statusCode"] == 502


def test_a_notice_has_the_event_and_whose_records_they_were() -> None:
    drop = dropped(None)
    made = notice(drop, Lane("shard-1"), Codec(), Subject("scope", "orders", "billing"), at=AT, spare_id="spare")
    assert made.event == Codec().render(drop.records)
    assert (made.scope, made.lane, made.at) == ("scope", "shard-1", AT)
    assert list(made.document) == MEMBERS
    assert made.document["requestContext"]["functionArn"] == "billing"
    assert made.document["KinesisBatchInfo"] == {"shardId": "shard-1", "batchSize": 2}


def test_the_payload_is_the_event_as_text_within_the_document() -> None:
    subject = Subject("scope", "orders", FUNCTION, annotate=True)
    drop = Drop((record(1, 'größer "✓"'),), "RetryAttemptsExhausted", 1)
    made = notice(drop, Lane("shard"), Codec(), subject, at=AT, spare_id="spare")
    told = json.loads(text_of(with_payload(made)))
    assert list(told) == [*MEMBERS, "payload", "esm"]
    assert json.loads(told["payload"]) == {"Records": [{"n": 1, "data": 'größer "✓"'}]}


def test_our_extension_stands_behind_awss_members_and_has_what_they_lack() -> None:
    assert extension(Errored(Outcome.FUNCTION_ERROR, "KeyError: no such\ncustomer")) == {
        "mapping": "orders",
        "attempts": 3,
        "error": {"outcome": "function_error", "type": "KeyError", "text": "no such\ncustomer"},
        "records": [{"n": 1, "data": "x"}, {"n": 2, "data": "x"}],
    }


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (None, None),
        (Errored(Outcome.TIMEOUT, "no answer: 30 s"), {"outcome": "timeout", "text": "no answer: 30 s"}),
        (
            Errored(Outcome.FUNCTION_ERROR, "all went wrong"),
            {"outcome": "function_error", "text": "all went wrong"},
        ),
        (
            Errored(Outcome.FUNCTION_ERROR, "died", {"error_type": "Runtime.ExitError"}),
            {"outcome": "function_error", "type": "Runtime.ExitError", "text": "died"},
        ),
        (Returned(b'{"batchItemFailures":[]}'), {"outcome": "partial", "text": '{"batchItemFailures":[]}'}),
        (Returned(b"\xff" + b"x" * 5000), {"outcome": "partial", "text": "\ufffd" + "x" * 999}),
    ],
)
def test_the_error_is_what_the_last_reply_says(reply: Reply | None, error: Mapping[str, str] | None) -> None:
    assert extension(reply)["error"] == error


def test_records_can_be_left_out_and_are_counted_then() -> None:
    aws = document(dropped(None))
    assert without_records(aws) == aws
    short = without_records({**aws, "esm": extension(None)})
    assert short == {**aws, "esm": {"mapping": "orders", "attempts": 3, "error": None, "recordsLeftOut": 2}}
    assert without_records(short) == short


def test_any_text_becomes_ascii() -> None:
    text = text_of({"a": "ä\x00\ufffe\ud83d"})
    assert text.isascii()
    assert json.loads(text) == {"a": "ä\x00\ufffe\ud83d"}


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 31)))  # noqa: DTZ001 - hypothesis wants it so
def test_times_are_those_of_the_calendar(naive: datetime) -> None:
    when = naive.replace(microsecond=naive.microsecond // 1000 * 1000, tzinfo=UTC)
    text = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert with_milliseconds(when.timestamp()) == text
    assert without_milliseconds(when.timestamp()) == f"{text[:19]}Z"


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (-0.001, "1969-12-31T23:59:59.999Z"),
        (951782400.0, "2000-02-29T00:00:00.000Z"),
        (1573691886.9996, "2019-11-14T00:38:07.000Z"),
    ],
)
def test_times_at_the_edges(at: float, text: str) -> None:
    assert with_milliseconds(at) == text
