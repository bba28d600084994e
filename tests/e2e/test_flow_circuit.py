"""Targets that refuse every call until their circuits open, beside one that fails and one that has a pace.

One daemon lives through all of it at once, so that each mapping also shows that the others do not disturb it. The
visibility timeouts are a fraction of the trouble: only heartbeats keep the messages.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from servers import QueueMaker, Server
from servers.process import free_port

from .function import Answer, Call, Function, function
from .harness import Daemon, daemon, mapping, until, write_config
from .journal import Journal, Visit, grouped, numbered, succeed
from .queue_account import Account, Oracle, account

_VISIBILITY = 3
_SHARING = ("left", "middle", "right")
_REFUSED = ("storm", "down", *_SHARING)
_PER_SECOND = 10
_PACED = 12 * _PER_SECOND
_STARTS_AT = 5
_LASTED = 10.0
"""Seconds of refusals before a circuit opens."""
_LONGEST_PAUSE = 10.0
"""Seconds between two probes at most."""
_REFUSAL_TAKES = 0.3
_OPENED = "target refused every call, left alone but for probes"
_CLOSED = "target can be called again"


_with_time_for_the_story = pytest.mark.timeout(150)


@dataclass
class Story:
    """What was played, and what was seen of it. Moments in monotonic seconds."""

    oracles: dict[str, Oracle]
    journals: dict[str, Journal]
    opened: float
    ended: float
    limits: tuple[float, float]
    midst: dict[str, dict[str, Any]]
    gauges: dict[str, tuple[float, float]]
    log: dict[str, list[str]]
    accounts: dict[str, Account]

    def visits(self, name: str) -> list[Visit]:
        """The visits of one mapping's messages, in order."""
        sent = set(self.oracles[name].sent)
        ours = [visit for visit in self.journals[name].visits if visit.body in sent]
        return sorted(ours, key=lambda visit: visit.began)


@dataclass
class Cast:
    """The queues, the functions behind them, and what the functions go by."""

    oracles: dict[str, Oracle]
    functions: dict[str, Function]
    journals: dict[str, Journal]
    port: int = field(default_factory=free_port)
    calm: threading.Event = field(default_factory=threading.Event)
    mended: threading.Event = field(default_factory=threading.Event)

    def throttles(self, _: Call) -> Answer:
        if self.calm.is_set():
            return Answer()
        time.sleep(_REFUSAL_TAKES)
        return Answer(status=429)

    def fails(self, _: Call) -> Answer:
        return Answer(status=200 if self.mended.is_set() else 500)


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory, ministack: Server, boto_sqs: Callable[[str], Any]
) -> Iterator[Story]:
    with ExitStack() as stack:
        cast = _cast(stack, ministack, boto_sqs)
        config = _config(tmp_path_factory.mktemp("circuit") / "esm.yaml", ministack, cast)
        with daemon(config) as running:
            yield _played(cast, running)


def _cast(stack: ExitStack, server: Server, boto_sqs: Callable[[str], Any]) -> Cast:
    make, url = QueueMaker(boto_sqs, "circuit"), server.endpoint_url
    queues = {
        name: make(url, fifo=name == "storm", visibility=_VISIBILITY, max_receives=30)
        for name in (*_REFUSED, "failing", "paced", "fine")
    }
    shared = stack.enter_context(function())
    functions = dict.fromkeys(_SHARING, shared) | {"down": Function()}
    functions |= {name: stack.enter_context(function()) for name in queues if name not in functions}
    cast = Cast({name: Oracle(boto_sqs(url), queue) for name, queue in queues.items()}, functions, {})
    behaviours = {"storm": cast.throttles, "failing": cast.fails}
    cast.journals = {
        name: Journal(served, behaviours.get(name, succeed))
        for name, served in functions.items()
        if name not in _SHARING
    } | dict.fromkeys(_SHARING, Journal(shared, cast.throttles))
    return cast


def _config(path: Path, server: Server, cast: Cast) -> Path:
    named = {"paced": "paced", **dict.fromkeys(_SHARING, "shared")}
    urls = {name: served.url or f"http://127.0.0.1:{cast.port}/invoke" for name, served in cast.functions.items()}
    return write_config(
        path,
        server.endpoint_url,
        {
            name: mapping(oracle.queue, named.get(name, urls[name]), batch_size=1 if name == "paced" else 2)
            for name, oracle in cast.oracles.items()
        },
        targets={
            "shared": {"type": "http", "url": urls["left"]},
            "paced": {"type": "http", "url": urls["paced"], "invocations_per_second": _PER_SECOND},
        },
    )


def _played(cast: Cast, running: Daemon) -> Story:
    _send(cast.oracles)
    opened = _until_open(running)
    cast.oracles["fine"].send(numbered(40, "fine"))
    cast.oracles["fine"].drained(within=10)
    limits = _failed_and_mended(cast, running)
    midst = {name: running.status(name) for name in _REFUSED}
    gauges = {name: running.metric("esm_circuit_open", mapping=name) for name in cast.oracles}
    for name in ("storm", "left"):
        journal = cast.journals[name]
        until(lambda journal=journal: sum(at > opened for at in journal.refused) >= 2, "it probes")  # type: ignore[misc]
    with function(cast.functions["down"], cast.port):
        ended = time.monotonic()
        cast.calm.set()
        for oracle in cast.oracles.values():
            oracle.drained()
        after = {name: running.metric("esm_circuit_open", mapping=name) for name in cast.oracles}
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    return Story(
        cast.oracles,
        cast.journals,
        opened,
        ended,
        limits,
        midst,
        {name: (gauges[name], after[name]) for name in cast.oracles},
        {text: [line["target"] for line in running.lines(text)] for text in (_OPENED, _CLOSED)},
        {name: account(oracle, cast.journals[name]) for name, oracle in cast.oracles.items()},
    )


def _send(oracles: dict[str, Oracle]) -> None:
    for name, oracle in oracles.items():
        if name == "storm":
            for group, bodies in grouped(20, 3):
                oracle.send(bodies, group)
        elif name != "fine":
            oracle.send(numbered(_PACED if name == "paced" else 60, name))


def _until_open(running: Daemon) -> float:
    """When every circuit that should be is open, at the latest."""
    assert running.url
    until(lambda: all(running.status(name)["circuit_open"] for name in _REFUSED), "the circuits are open")
    return time.monotonic()


def _failed_and_mended(cast: Cast, running: Daemon) -> tuple[float, float]:
    """How many calls at once the failing function was left, and how many again when it had been mended."""

    def limit() -> float:
        return running.metric("esm_concurrency_limit", mapping="failing")

    until(lambda: limit() == 1, "it is called less")
    low = limit()
    cast.mended.set()
    until(lambda: limit() >= _STARTS_AT, "it is called as before")
    return low, limit()


@_with_time_for_the_story
@pytest.mark.parametrize("name", ["storm", "down", "paced", "fine"])
def test_every_message_is_delivered_once_with_its_first_receive(story: Story, name: str) -> None:
    story.accounts[name].exactly_once()
    assert {visit.receives for visit in story.visits(name)} == {1}


@_with_time_for_the_story
@pytest.mark.parametrize("name", _SHARING)
def test_so_is_every_message_of_those_who_share_the_target(story: Story, name: str) -> None:
    visits, end = story.visits(name), story.accounts[name]
    assert sorted(visit.body for visit in visits) == sorted(end.sent)
    assert {visit.receives for visit in visits} == {1}
    assert not end.waiting + end.dead


@_with_time_for_the_story
def test_groups_keep_their_order_through_the_storm(story: Story) -> None:
    story.accounts["storm"].in_order()


@_with_time_for_the_story
@pytest.mark.parametrize("name", _REFUSED)
def test_an_open_circuit_is_told_everywhere_while_it_lasts(story: Story, name: str) -> None:
    assert story.midst[name]["circuit_open"] is True
    assert story.midst[name]["state"] == "Enabled"
    assert story.gauges[name] == (1.0, 0.0)


@_with_time_for_the_story
@pytest.mark.parametrize("text", [_OPENED, _CLOSED])
def test_the_log_tells_once_for_each_target(story: Story, text: str) -> None:
    told = story.log[text]
    assert len(told) == len(set(told)) == 3
    assert "shared" in told


@_with_time_for_the_story
@pytest.mark.parametrize("name", ["failing", "paced", "fine"])
def test_no_other_circuit_opens(story: Story, name: str) -> None:
    assert story.gauges[name] == (0.0, 0.0)


@_with_time_for_the_story
@pytest.mark.parametrize("name", ["storm", "left"])
def test_it_opens_after_ten_seconds_and_then_one_probe_at_a_time_comes(story: Story, name: str) -> None:
    """Three mappings with five batches each would come three times a second by themselves."""
    refused = sorted(story.journals[name].refused)
    assert story.opened - refused[0] >= _LASTED
    probes = [at for at in refused if at > story.opened]
    assert 2 <= len(probes) <= 4 + (story.ended - story.opened) / 2
    assert min(later - earlier for earlier, later in pairwise(probes)) >= _REFUSAL_TAKES


@_with_time_for_the_story
@pytest.mark.parametrize("name", _REFUSED)
def test_it_is_found_back_and_everything_flows(story: Story, name: str) -> None:
    began = [visit.began for visit in story.visits(name)]
    assert began[0] > story.ended - _REFUSAL_TAKES
    assert began[0] - story.ended <= _LONGEST_PAUSE + 2.0
    assert began[len(began) * 3 // 4] - began[0] <= 4.0, "what was held does not wait for pauses of its own"


@_with_time_for_the_story
def test_a_function_that_fails_is_called_less_until_it_is_mended(story: Story) -> None:
    low, high = story.limits
    assert low == 1
    assert high >= _STARTS_AT
    story.accounts["failing"].balances()
    assert story.accounts["failing"].journal.done == dict.fromkeys(story.oracles["failing"].sent, 1)


@_with_time_for_the_story
def test_a_pace_is_kept_at_the_function(story: Story) -> None:
    """Never more than asked for; how little less is measured on virtual time, where no other process disturbs."""
    began = [visit.began for visit in story.visits("paced")]
    first, last = began[0], began[-_PER_SECOND]
    assert (_PACED - _PER_SECOND) / (last - first) <= _PER_SECOND * 1.05
    assert (_PACED - _PER_SECOND) / (last - first) >= _PER_SECOND * 0.75
