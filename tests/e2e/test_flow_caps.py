"""Limits on how much is sent at once, and who waits for whom: measured at the functions."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from servers import Server

from .function import Answer, Call, Function
from .harness import Daemon, daemon, mapping, until, write_config
from .journal import Journal, grouped, numbered
from .queue_account import Oracle, account
from .relay import relay

NewOracle = Callable[..., Oracle]
Functions = Callable[[], Function]


_EVERY = 1.0
"""Seconds between two looks at a queue that hands out no more."""


def _stop(running: Daemon) -> None:
    running.signal(signal.SIGTERM)
    assert running.wait() == 0, running.output


def _taking(seconds: float) -> Callable[[Call], Answer]:
    def behave(_: Call) -> Answer:
        time.sleep(seconds)
        return Answer()

    return behave


@pytest.mark.timeout(60)
def test_two_hundred_groups_do_not_wait_for_a_slow_one(
    tmp_path: Path, ministack: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    oracle, served = new_oracle(ministack, fifo=True, visibility=5, max_receives=2), functions()
    slow = "g7"

    def behave(call: Call) -> Answer:
        return served.held(call) if call.bodies[0].startswith(f"{slow}/") else Answer()

    journal = Journal(served, behave)
    for group, bodies in grouped(200, 2):
        oracle.send(bodies, group)
    others = {body for body in oracle.sent if not body.startswith(f"{slow}/")}
    orders = mapping(oracle.queue, served.url, batch_size=1)
    with daemon(write_config(tmp_path / "esm.yaml", ministack.endpoint_url, {"orders": orders})) as running:
        assert running.url
        until(lambda: set(journal.done) == others, "all other groups are done")
        assert journal.now == 1, "the slow group is at the function still"
        served.gate.set()
        oracle.drained()
        _stop(running)
    end = account(oracle, journal)
    end.exactly_once()
    end.in_order()


@pytest.mark.timeout(60)
def test_no_mapping_has_less_than_half_of_its_fair_share_of_the_slots(
    tmp_path: Path, ministack: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    """Six mappings, three slots; one has eight times the backlog of the others, and more batches in flight."""
    oracles = {f"m{number}": new_oracle(ministack, visibility=5, max_receives=2) for number in range(6)}
    few = {"scaling_config": {"maximum_concurrency": 2}}
    served = functions()
    journal = Journal(served, _taking(0.03))
    config = write_config(
        tmp_path / "esm.yaml",
        ministack.endpoint_url,
        {
            name: mapping(oracle.queue, "shared", batch_size=1, **({} if name == "m0" else few))
            for name, oracle in oracles.items()
        },
        targets={"shared": {"type": "http", "url": served.url, "reserved_concurrency": 3}},
    )
    for name, oracle in oracles.items():
        oracle.send(numbered(120 if name == "m0" else 15, name))
    with daemon(config) as running:
        assert running.url
        for oracle in oracles.values():
            oracle.drained()
        _stop(running)
    assert journal.most_at_once == 3
    callers = [call.headers["X-ESM-Mapping"] for call in served.calls]
    first = max(callers.index(name) for name in oracles)
    last = min(len(callers) - 1 - callers[::-1].index(name) for name in oracles)
    contended = Counter(callers[first : last + 1])
    assert sum(contended.values()) >= 45
    assert min(contended[name] for name in oracles) >= sum(contended.values()) / 6 / 2, contended
    for oracle in oracles.values():
        end = account(oracle, journal)
        assert {body: journal.done[body] for body in oracle.sent} == dict.fromkeys(oracle.sent, 1)
        assert not end.waiting + end.dead
        end.no_receive_burnt()


class Together:
    """Counts the calls of several functions that are under way at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, _: Call) -> Answer:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.1)
        with self._lock:
            self.now -= 1
        return Answer()


@pytest.mark.timeout(60)
def test_all_targets_together_are_never_called_more_often_at_once_than_the_engine_may(
    tmp_path: Path, ministack: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    oracles = {name: new_oracle(ministack, visibility=5, max_receives=2) for name in ("left", "right")}
    served = {name: functions() for name in oracles}
    together = Together()
    journals = {name: Journal(each, together) for name, each in served.items()}
    config = write_config(
        tmp_path / "esm.yaml",
        ministack.endpoint_url,
        {name: mapping(oracle.queue, served[name].url, batch_size=2) for name, oracle in oracles.items()},
        maximum_concurrency=3,
    )
    for name, oracle in oracles.items():
        oracle.send(numbered(40, name))
    with daemon(config) as running:
        assert running.url
        for oracle in oracles.values():
            oracle.drained()
        _stop(running)
    assert together.most == 3
    assert all(journal.most_at_once >= 2 for journal in journals.values()), "a slot is nobody's own"
    for name, oracle in oracles.items():
        account(oracle, journals[name]).exactly_once()


def _apart(moments: list[float], gap: float) -> list[float]:
    """The first of each run of moments: receives run side by side."""
    return [at for before, at in pairwise([float("-inf"), *moments]) if at - before > gap]


@pytest.mark.timeout(60)
def test_a_queue_with_too_much_in_flight_is_read_later_and_is_no_error(
    tmp_path: Path, ministack: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    oracle, served = new_oracle(ministack, visibility=5, max_receives=2), functions()
    journal = Journal(served)
    with ExitStack() as stack:
        before = stack.enter_context(relay(ministack.endpoint_url))
        orders = mapping(oracle.queue, served.url)
        running = stack.enter_context(daemon(write_config(tmp_path / "esm.yaml", before.url, {"orders": orders})))
        oracle.send(numbered(30, "before"))
        oracle.drained()
        before.over_limit.set()
        oracle.send(numbered(30, "after"))
        until(lambda: len(_apart(before.refused, 0.5)) == 3, "it asked again")
        assert min(later - earlier for earlier, later in pairwise(_apart(before.refused, 0.5))) >= _EVERY * 0.9
        status = running.status("orders")
        assert (status["state"], status["last_processing_result"]) == ("Enabled", "OK")
        assert running.metric("esm_source_errors_total", mapping="orders", error="OverLimit") >= 3
        before.over_limit.clear()
        oracle.drained()
        _stop(running)
    account(oracle, journal).exactly_once()
