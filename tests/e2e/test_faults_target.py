"""A function that is down, says "not now" or takes its time: no message pays for it with a receive.

One daemon lives through all of it at once, a mapping for each kind of trouble, so that each also shows that the
others do not disturb it. The visibility timeouts are a fraction of the trouble: only heartbeats keep the messages.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from servers import QueueMaker, Server
from servers.process import free_port

from .function import Answer, Call, Function, function
from .harness import Daemon, daemon, mapping, until, write_config
from .journal import Journal, numbered, succeed
from .queue_account import Account, Oracle, account

_VISIBILITY = 3
_DOWN = 10.0
_REFUSES = 30.0
_SLOW = 3.0 * _VISIBILITY
_MESSAGES = 30
_AT_ONCE = 2
"""Batches in flight at most: as many can be refused before the first refusal is known."""


@dataclass(frozen=True)
class Case:
    oracle: Oracle
    served: Function
    journal: Journal


@dataclass(frozen=True)
class Story:
    """How it ended: the account of each case, and what the status said in the midst of it."""

    cases: dict[str, Case]
    accounts: dict[str, Account]
    midst: dict[str, dict[str, Any]]
    outage: tuple[float, float]


def _refusing(headers: dict[str, str]) -> Callable[[Call], Answer]:
    """429 for 30 seconds from the first call on."""
    began: list[float] = []

    def behave(call: Call) -> Answer:
        began.append(call.at)
        if call.at - min(began) < _REFUSES:
            return Answer(status=429, headers=headers)
        return Answer()

    return behave


def _slow(_: Call) -> Answer:
    time.sleep(_SLOW)
    return Answer()


_BEHAVIOURS: dict[str, Callable[[], Callable[[Call], Answer]]] = {
    "down": lambda: succeed,
    "throttled": lambda: _refusing({}),
    "throttled-with-a-time": lambda: _refusing({"Retry-After": "2"}),
    "slow": lambda: _slow,
    "fine": lambda: succeed,
}


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory, ministack: Server, boto_sqs: Callable[[str], Any]
) -> Iterator[Story]:
    client, make = boto_sqs(ministack.endpoint_url), QueueMaker(boto_sqs, "trouble")
    with ExitStack() as stack:
        cases = {}
        for name, behaviour in _BEHAVIOURS.items():
            served = Function() if name == "down" else stack.enter_context(function())
            queue = make(ministack.endpoint_url, visibility=_VISIBILITY, max_receives=5)
            cases[name] = Case(Oracle(client, queue), served, Journal(served, behaviour()))
        port = free_port()
        urls = {name: case.served.url or f"http://127.0.0.1:{port}/invoke" for name, case in cases.items()}
        options = {"scaling_config": {"maximum_concurrency": _AT_ONCE}}
        config = write_config(
            tmp_path_factory.mktemp("trouble") / "esm.yaml",
            ministack.endpoint_url,
            {name: mapping(case.oracle.queue, urls[name], **options) for name, case in cases.items()},
        )
        yield _lived_through(config, cases, port)


def _lived_through(config: Path, cases: dict[str, Case], port: int) -> Story:
    down = cases["down"]
    with daemon(config) as running:
        assert running.url
        with function(down.served, port):
            down.oracle.send(numbered(_MESSAGES, "before"))
            down.oracle.drained()
        began = time.monotonic()
        for case in cases.values():
            case.oracle.send(numbered(_MESSAGES))
        midst = {name: _in_trouble(running, name) for name in ("down", "throttled", "throttled-with-a-time")}
        time.sleep(max(0.0, began + _DOWN - time.monotonic()))
        with function(down.served, port):
            ended = time.monotonic()
            for case in cases.values():
                case.oracle.drained(within=_REFUSES + 75)
            running.signal(signal.SIGTERM)
            assert running.wait() == 0, running.output
    accounts = {name: account(case.oracle, case.journal) for name, case in cases.items()}
    return Story(cases, accounts, midst, (began, ended))


def _in_trouble(running: Daemon, name: str) -> dict[str, Any]:
    def problem() -> dict[str, Any] | None:
        status = running.status(name)
        return status if status["last_processing_result"].startswith("PROBLEM") else None

    return until(problem, f"{name} shows its trouble") or {}


_with_time_for_the_story = pytest.mark.timeout(150)


@_with_time_for_the_story
@pytest.mark.parametrize("name", _BEHAVIOURS)
def test_every_message_is_delivered_once_with_its_first_receive(story: Story, name: str) -> None:
    story.accounts[name].exactly_once()
    assert {visit.receives for visit in story.cases[name].journal.visits} == {1}


@_with_time_for_the_story
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("down", "PROBLEM: Target unreachable"),
        ("throttled", "PROBLEM: Target throttled: HTTP 429"),
        ("throttled-with-a-time", "PROBLEM: Target throttled: HTTP 429"),
    ],
)
def test_the_trouble_is_shown_with_its_reason(story: Story, name: str, says: str) -> None:
    assert story.midst[name]["state"] == "Enabled"
    assert story.midst[name]["last_processing_result"].startswith(says)


@_with_time_for_the_story
def test_nothing_reached_the_function_while_it_was_down(story: Story) -> None:
    began, ended = story.outage
    assert ended - began >= _DOWN
    assert all(not began < visit.began < ended for visit in story.cases["down"].journal.visits)


@_with_time_for_the_story
def test_a_function_that_refuses_is_not_hammered(story: Story) -> None:
    """Each batch that is held asks again in pauses that double: seven make more than 30 seconds on average."""
    refused = story.cases["throttled"].journal.refused
    assert max(refused) - min(refused) > _REFUSES / 4, "it was asked again"
    assert len(refused) <= _AT_ONCE * 14


@_with_time_for_the_story
def test_a_function_that_says_when_is_not_asked_before(story: Story) -> None:
    """`Retry-After: 2` allows each batch that is held 15 calls in 30 seconds."""
    refused = story.cases["throttled-with-a-time"].journal.refused
    assert _AT_ONCE <= len(refused) <= _AT_ONCE * (_REFUSES / 2 + 1)
    by_batch: dict[str, list[float]] = {}
    for call in story.cases["throttled-with-a-time"].served.calls:
        by_batch.setdefault(call.headers["X-ESM-Batch-Id"], []).append(call.at)
    pauses = [later - earlier for calls in by_batch.values() for earlier, later in pairwise(calls)]
    assert min(pauses) >= 1.95


@_with_time_for_the_story
def test_a_slow_function_has_a_batch_once(story: Story) -> None:
    visits = story.cases["slow"].journal.visits
    assert len(visits) == _MESSAGES
    assert min(visit.ended - visit.began for visit in visits) >= 2 * _VISIBILITY
