"""What AWS JSON services answer, good or bad, is understood as botocore understands it."""

import json
from typing import Any

import pytest
from botocore.parsers import JSONParser  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from esm.clients.aws_calls import dialect_of, passing, refusal
from esm.clients.aws_errors import disconnected
from esm.clients.http import Answered

TYPES = ["com.amazonaws.sqs#QueueDoesNotExist", "AccessDenied", "Throttled:http://x/", "a#b:c", ""]
BODIES = st.fixed_dictionaries(
    {},
    optional={"__type": st.sampled_from(TYPES), "message": st.text(max_size=20), "Message": st.text(max_size=20)},
)


def answer(status: int, body: bytes, query_error: str | None = None) -> Answered:
    headers = CIMultiDict({"X-Amzn-RequestId": "r-1"})
    if query_error is not None:
        headers["x-amzn-query-error"] = query_error
    return Answered(status, headers, body)


@given(
    status=st.sampled_from([400, 403, 404, 429, 500, 503]),
    body=BODIES,
    query_error=st.none() | st.sampled_from(["AWS.SimpleQueueService.NonExistentQueue;Sender"]),
)
def test_codes_and_messages_are_botocores(status: int, body: dict[str, str], query_error: str | None) -> None:
    got = answer(status, json.dumps(body).encode(), query_error)
    headers = {name.lower(): value for name, value in got.headers.items()}
    theirs = JSONParser().parse({"status_code": status, "headers": headers, "body": got.body}, None)
    ours = refusal(got, "ReceiveMessage").response
    assert ours["ResponseMetadata"]["HTTPStatusCode"] == theirs["ResponseMetadata"]["HTTPStatusCode"]
    if theirs["Error"]["Code"]:  # botocore leaves an empty type empty; a status says more
        assert ours["Error"]["Code"] == theirs["Error"]["Code"]
    if theirs["Error"]["Message"]:
        assert ours["Error"]["Message"] == theirs["Error"]["Message"]


@pytest.mark.parametrize(
    ("status", "body", "code", "lasting"),
    [
        (503, b"<html>maintenance</html>", "ServiceError", False),
        (502, b"", "ServiceError", False),
        (403, b"<html>proxy says no</html>", "AccessDenied", True),
        (429, b"[]", "Throttling", False),
        (400, b"\xff\xfe", "Unknown", False),
        (400, b'{"__type": 5, "message": {"a": 1}}', "Unknown", False),
        (400, b'{"__type": null}', "Unknown", False),
        (302, b"", "Unknown", False),
    ],
)
def test_an_answer_in_no_known_form_is_judged_by_its_status(
    status: int, body: bytes, code: str, *, lasting: bool
) -> None:
    problem = disconnected(refusal(answer(status, body), "ReceiveMessage"), "SQS")
    assert (problem.code, problem.lasting) == (code, lasting)


@pytest.mark.parametrize(
    ("status", "body", "again"),
    [
        (500, b"", True),
        (503, b'{"__type": "ServiceUnavailable"}', True),
        (400, b'{"__type": "com.amazonaws.sqs#RequestThrottled"}', True),
        (400, b'{"__type": "ThrottlingException"}', True),
        (400, b'{"__type": "com.amazonaws.sqs#OverLimit"}', False),
        (403, b'{"__type": "AccessDenied"}', False),
        (400, b'{"__type": "ExpiredToken"}', False),
    ],
)
def test_only_what_may_pass_is_tried_again(status: int, body: bytes, *, again: bool) -> None:
    assert passing(refusal(answer(status, body), "X")) is again


def test_the_dialect_is_in_the_model() -> None:
    sqs: dict[str, Any] = {"jsonVersion": "1.0", "targetPrefix": "AmazonSQS", "awsQueryCompatible": {}}
    assert dialect_of(sqs).constant == {"Content-Type": "application/x-amz-json-1.0", "X-Amzn-Query-Mode": "true"}
    kinesis = {"jsonVersion": "1.1", "targetPrefix": "Kinesis_20131202"}
    assert dialect_of(kinesis).constant == {"Content-Type": "application/x-amz-json-1.1"}
    assert dialect_of(kinesis).prefix == "Kinesis_20131202"
