"""What the Runtime Interface Emulator answers, as its `handlers.go` writes it."""

import json
from typing import Any

import pytest
from yarl import URL

from esm.clients.http import Answered, Broken, Exchange, Lapsed, Unreached
from esm.model import Errored, Outcome, Refused
from esm.targets.http import PLUGIN, HttpOptions
from esm.targets.http.rie import own_reply, url_of

PATH = "/2015-03-31/functions/function/invocations"


def answered(body: Any, status: int = 200) -> Answered:
    return Answered(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("http://h:8080", f"http://h:8080{PATH}"),
        ("http://h:8080/", f"http://h:8080{PATH}"),
        (
            "http://h/2015-03-31/functions/billing/invocations",
            "http://h/2015-03-31/functions/billing/invocations",
        ),
        ("http://h/behind/a/proxy", "http://h/behind/a/proxy"),
    ],
)
def test_the_emulators_path_is_filled_in(given: str, called: str) -> None:
    assert str(url_of(URL(given))) == called


REPORTS: list[tuple[Any, Outcome, str]] = [
    (
        {"errorMessage": "no id", "errorType": "KeyError", "requestId": "1", "stackTrace": []},
        Outcome.FUNCTION_ERROR,
        "KeyError: no id",
    ),
    ({"errorType": "Error", "errorMessage": "x", "trace": ["Error: x"]}, Outcome.FUNCTION_ERROR, "Error: x"),
    ({"errorMessage": "told by callback"}, Outcome.FUNCTION_ERROR, "Error: told by callback"),
    (
        {"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: 1 Error: Task timed out after 3.00 seconds"},
        Outcome.TIMEOUT,
        "Sandbox.Timedout: RequestId: 1 Error: Task timed out after 3.00 seconds",
    ),
    (b"Task timed out after 300.00 seconds", Outcome.TIMEOUT, "Task timed out after 300.00 seconds"),
]


@pytest.mark.parametrize(("body", "outcome", "message"), REPORTS)
def test_an_error_comes_with_status_200(body: Any, outcome: Outcome, message: str) -> None:
    assert own_reply(answered(body)) == Errored(outcome, message)


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b'"Task timed out after 3.00 seconds"',
        {"batchItemFailures": [], "errorMessage": "none"},
        {"errorMessage": None},
        [{"errorMessage": "x"}],
    ],
)
def test_what_a_function_returns_is_left_to_it(body: Any) -> None:
    assert own_reply(answered(body)) is None


def test_no_body_at_all_is_no_success() -> None:
    """Elsewhere it is one (D5); here it says that the call never got to the function's runtime."""
    reply = own_reply(answered(b""))
    assert isinstance(reply, Errored)
    assert reply.outcome is Outcome.FUNCTION_ERROR


def test_a_second_call_at_a_time_is_neutral() -> None:
    reply = own_reply(answered(b"", 400))
    assert isinstance(reply, Refused)
    assert reply.outcome is Outcome.THROTTLED


@pytest.mark.parametrize(
    "exchange",
    [answered(b"x", 400), answered({"errorMessage": "m"}, 502), Unreached("no"), Broken("cut"), Lapsed()],
)
def test_the_rest_means_what_http_means(exchange: Exchange) -> None:
    assert own_reply(exchange) is None


def test_the_emulator_has_one_slot() -> None:
    assert PLUGIN.slots(HttpOptions(url="http://h:8080", protocol="rie")) == 1
    assert PLUGIN.slots(HttpOptions(url="http://h:8080")) is None
