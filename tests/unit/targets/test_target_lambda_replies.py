"""From the ending of an Invoke to a reply: what the function did, and what Lambda itself says."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from esm.clients.http import Answered, Broken, Exchange, Lapsed, Unreached
from esm.model import Errored, Outcome, Refused, Reply, Returned
from esm.targets.lambda_.replies import reply_to

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


def reply(status: int, body: object = b"", **headers: str) -> Reply:
    given = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reply_to(Answered(status, given, sent), timeout=30.0, now=NOW)


def failed(body: object, kind: str = "Unhandled", **headers: str) -> Errored:
    seen = reply(200, body, X_Amz_Function_Error=kind, **headers)
    assert isinstance(seen, Errored)
    return seen


def refused(status: int, body: object, **headers: str) -> Refused:
    seen = reply(status, body, **headers)
    assert isinstance(seen, Refused)
    return seen


def test_an_answer_is_the_functions_with_who_gave_it() -> None:
    assert reply(200, b"[1]", x_amzn_requestid="r-1", x_amz_executed_version="7") == Returned(
        b"[1]", {"request_id": "r-1", "executed_version": "7", "status_code": "200"}
    )


@pytest.mark.parametrize("kind", ["Handled", "Unhandled"])
def test_a_function_error_counts_and_brings_the_end_of_the_log(kind: str) -> None:
    log = base64.b64encode("START\nö boom\nEND".encode()).decode()
    seen = failed({"errorType": "KeyError", "errorMessage": "'id'\nx"}, kind, X_Amz_Log_Result=log)
    assert seen.outcome is Outcome.FUNCTION_ERROR
    assert seen.message == "KeyError: 'id' x"
    assert seen.meta == {"function_error": kind, "log_tail": "START\nö boom\nEND", "status_code": "200"}


def test_a_success_brings_no_log() -> None:
    seen = reply(200, b"null", X_Amz_Log_Result=base64.b64encode(b"START").decode())
    assert "log_tail" not in seen.meta


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("", None),
        ("no base64!", None),
        ("ab", None),
        ("ü", None),
        (base64.b64encode(b"\xff\xfeok").decode(), "\ufffd\ufffdok"),
        (base64.b64encode(b"a" * 4096 + b"b" * 4096).decode(), "b" * 4096),
    ],
)
def test_a_log_is_at_most_4_kib_of_text(sent: str, kept: str | None) -> None:
    assert failed({}, X_Amz_Log_Result=sent).meta.get("log_tail") == kept


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"errorMessage": "2026-01-01T00:00:00.000Z 3b6a Task timed out after 3.00 seconds"}, Outcome.TIMEOUT),
        (
            {
                "errorType": "Sandbox.Timedout",
                "errorMessage": "RequestId: 3b6a Error: Task timed out after 3.00 seconds",
            },
            Outcome.TIMEOUT,
        ),
        ({"errorType": "Exception", "errorMessage": "Task timed out after 3.00 seconds"}, Outcome.FUNCTION_ERROR),
        ({"errorMessage": "Task timed out"}, Outcome.FUNCTION_ERROR),
        ({"errorType": "Runtime.ExitError", "errorMessage": "exit status 1"}, Outcome.FUNCTION_ERROR),
    ],
)
def test_the_functions_own_timeout_is_told_apart(body: dict[str, str], outcome: Outcome) -> None:
    assert failed(body).outcome is outcome


def test_what_a_function_leaves_unexplained_is_named_by_its_kind() -> None:
    assert failed(b"<oops>").message == "Unhandled"


REASONS = [
    "ConcurrentInvocationLimitExceeded",
    "FunctionInvocationRateLimitExceeded",
    "ReservedFunctionConcurrentInvocationLimitExceeded",
    "ReservedFunctionInvocationRateLimitExceeded",
    "CallerRateLimitExceeded",
    "ConcurrentSnapshotCreateLimitExceeded",
]


@pytest.mark.parametrize("reason", REASONS)
def test_a_throttle_is_neutral_and_says_its_reason(reason: str) -> None:
    body = {"Reason": reason, "Type": "User", "message": "Rate Exceeded."}
    seen = refused(429, body, x_amzn_ErrorType="TooManyRequestsException", Retry_After="7")
    assert seen == Refused(
        Outcome.THROTTLED,
        f"TooManyRequestsException: {reason}: Rate Exceeded.",
        retry_after=7.0,
        meta={"status_code": "429"},
    )


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"x_amzn_ErrorType": "ServiceException:http://internal.amazon.com/coral/"}, {}),
        ({"x_amzn_ErrorType": "com.amazonaws.lambda#ServiceException"}, {}),
        ({}, {"__type": "com.amazonaws.lambda#ServiceException"}),
        ({}, {"code": "ServiceException"}),
    ],
)
def test_an_error_is_named_in_any_of_the_protocols_ways(named: dict[str, str], code: dict[str, str]) -> None:
    seen = refused(500, {**code, "Message": "try again"}, **named)
    assert (seen.outcome, seen.message) == (Outcome.UNREACHABLE, "ServiceException: try again")


STATES: list[tuple[int, str, str, Outcome]] = [
    (
        409,
        "ResourceConflictException",
        "The function is currently in the following state: Pending",
        Outcome.UNREACHABLE,
    ),
    (502, "KMSDisabledException", "the key is disabled", Outcome.MISCONFIGURED),
    (502, "ENILimitReachedException", "no more interfaces", Outcome.THROTTLED),
    (409, "SnapStartNotReadyException", "initializing", Outcome.UNREACHABLE),
    (408, "EFSMountTimeoutException", "timed out", Outcome.UNREACHABLE),
    (404, "ResourceNotFoundException", "Function not found: arn", Outcome.MISCONFIGURED),
    (403, "AccessDeniedException", "not authorized to perform: lambda:InvokeFunction", Outcome.MISCONFIGURED),
]


@pytest.mark.parametrize(("status", "code", "text", "outcome"), STATES, ids=[row[1] for row in STATES])
def test_what_keeps_lambda_from_the_function_is_neutral_with_its_reason(
    status: int, code: str, text: str, outcome: Outcome
) -> None:
    seen = refused(status, {"Message": text}, x_amzn_ErrorType=code)
    assert (seen.outcome, seen.message) == (outcome, f"{code}: {text}")


def test_a_batch_that_lambda_cannot_take_counts() -> None:
    """D7: held, it would be refused for ever; so the queue's own redrive policy gets to see it."""
    seen = reply(
        413, {"message": "6300000 byte payload is too large"}, x_amzn_ErrorType="RequestTooLargeException"
    )
    assert isinstance(seen, Errored)
    assert seen.outcome is Outcome.FUNCTION_ERROR


def test_a_failed_signature_shows_no_token() -> None:
    text = "The request signature we calculated does not match.\n\nx-amz-security-token:hunter2"
    seen = refused(403, {"message": text}, x_amzn_ErrorType="InvalidSignatureException")
    assert seen.message == "InvalidSignatureException: The request signature we calculated does not match."


@pytest.mark.parametrize(
    ("status", "headers"), [(200, {"Content_Type": "text/html; charset=utf-8"}), (202, {}), (204, {}), (302, {})]
)
def test_what_is_not_lambda_is_never_taken_for_a_success(status: int, headers: dict[str, str]) -> None:
    assert refused(status, b"<html>", **headers).outcome is Outcome.MISCONFIGURED


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (Unreached("no"), Refused(Outcome.UNREACHABLE, "no")),
        (Broken("cut"), Errored(Outcome.FUNCTION_ERROR, "cut")),
        (Lapsed(), Errored(Outcome.TIMEOUT, "no complete answer within 30 s")),
    ],
)
def test_what_was_never_sent_is_neutral_and_what_was_counts(exchange: Exchange, expected: Reply) -> None:
    assert reply_to(exchange, timeout=30.0, now=NOW) == expected


HEADERS = ["X-Amz-Function-Error", "X-Amz-Log-Result", "x-amzn-ErrorType", "Retry-After", "Content-Type"]
ANY_BODY = st.binary() | st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["errorType", "errorMessage", "message", "Reason", "__type", "code"]),
            inner,
            max_size=4,
        )
    ),
).map(lambda value: json.dumps(value).encode())


@given(st.integers(100, 999), ANY_BODY, st.dictionaries(st.sampled_from(HEADERS), st.text()))
def test_every_answer_is_a_reply(status: int, body: bytes, headers: dict[str, Any]) -> None:
    seen = reply_to(Answered(status, CIMultiDict(headers), body), timeout=30.0, now=NOW)
    assert seen.meta["status_code"] == str(status)
    if isinstance(seen, Returned):
        assert (status, seen.payload) == (200, body)
    else:
        assert len(seen.message) < 400
        assert "\n" not in seen.message
    if isinstance(seen, Errored) and seen.meta.get("function_error") is not None:
        assert status == 200
