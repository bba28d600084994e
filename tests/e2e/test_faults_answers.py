"""What functions answer, and what becomes of the messages: poison, batch mates and message groups."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from servers import Server

from .function import Answer, Call, Function, failing
from .harness import daemon, mapping, write_config
from .journal import Journal, grouped, numbered, rest_of_groups
from .queue_account import Account, Oracle, account

NewOracle = Callable[..., Oracle]
Functions = Callable[[], Function]

_VISIBILITY = 2
_RECEIVES = 3
_REPORTS = {"function_response_types": ["ReportBatchItemFailures"]}


def _run(config: Path, *oracles: Oracle) -> None:
    """Until the queues are empty, which is when all is done or dead."""
    with daemon(config) as running:
        assert running.url
        for oracle in oracles:
            oracle.drained()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output


def _finished(oracle: Oracle, journal: Journal) -> Account:
    end = account(oracle, journal)
    end.balances()
    assert not end.waiting
    return end


@pytest.mark.timeout(60)
def test_dead_letters_are_the_poison_and_nothing_else(
    tmp_path: Path, sqs_server: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    oracle, served = new_oracle(sqs_server, visibility=_VISIBILITY, max_receives=_RECEIVES), functions()
    poison = {f"order/{number}" for number in range(5, 100, 17)}
    journal = Journal(served, lambda call: failing(call, *poison))
    orders = mapping(oracle.queue, served.url, **_REPORTS)
    oracle.send(numbered(100))
    _run(write_config(tmp_path / "esm.yaml", sqs_server.endpoint_url, {"orders": orders}), oracle)
    end = _finished(oracle, journal)
    assert end.dead == dict.fromkeys(poison, 1)
    assert end.journal.done == dict.fromkeys(set(oracle.sent) - poison, 1)
    end.no_receive_burnt()
    for body in poison:
        visits = journal.of(body)
        assert [visit.receives for visit in visits] == [1, 2, 3]
        pauses = [later.began - earlier.began for earlier, later in pairwise(visits)]
        assert min(pauses) > _VISIBILITY * 0.7, "a failed message comes back when its visibility ends, not before"


_BROKEN = {
    "thrown": Answer(headers={"X-Amz-Function-Error": "Unhandled"}, body=b'{"errorMessage": "poison"}'),
    "status": Answer(status=500),
    "unreadable": Answer(body=b"no JSON"),
}


@dataclass
class Breaking:
    """A function whose whole batch fails: `order/7` always breaks it, `order/35` the first time."""

    answer: Answer
    failed: list[Call] = field(default_factory=list)

    def __call__(self, call: Call) -> Answer:
        tries = dict(zip(call.bodies, call.receives, strict=True))
        if "order/7" not in tries and tries.get("order/35") != 1:
            return Answer()
        self.failed.append(call)
        return self.answer


@pytest.mark.timeout(60)
def test_a_batch_that_fails_as_a_whole_comes_again_as_a_whole(
    tmp_path: Path, ministack: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    """As on AWS: who was often enough in a batch with poison is a dead letter too, and nothing is lost."""
    oracles, journals, mappings = {}, {}, {}
    breaking = {how: Breaking(answer) for how, answer in _BROKEN.items()}
    for how, behave in breaking.items():
        served = functions()
        oracle = oracles[how] = new_oracle(ministack, visibility=_VISIBILITY, max_receives=_RECEIVES)
        journals[how] = Journal(served, behave)
        mappings[how] = mapping(oracle.queue, served.url, **(_REPORTS if how == "unreadable" else {}))
        oracle.send(numbered(60))
    _run(write_config(tmp_path / "esm.yaml", ministack.endpoint_url, mappings), *oracles.values())
    for how, behave in breaking.items():
        end = _finished(oracles[how], journals[how])
        end.no_receive_burnt()
        tries = Counter(body for call in behave.failed for body in call.bodies)
        assert end.dead == {body: 1 for body, count in tries.items() if count == _RECEIVES}
        assert end.dead["order/7"] == 1
        assert any(tries[body] for body in end.journal.done), "a mate that was done later"
        assert all(end.journal.of(body)[-1].receives == tries[body] + 1 for body in end.journal.done)


@pytest.mark.timeout(60)
def test_a_failing_group_disturbs_no_other(
    tmp_path: Path, elasticmq: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    oracle, served = new_oracle(elasticmq, fifo=True, visibility=_VISIBILITY, max_receives=_RECEIVES), functions()

    def behave(call: Call) -> Answer:
        time.sleep(0.1)
        return failing(call, "g0/3")

    journal = Journal(served, behave)
    orders = mapping(oracle.queue, served.url, batch_size=5, **_REPORTS)
    for group, bodies in grouped(6, 12):
        oracle.send(bodies, group)
    _run(write_config(tmp_path / "esm.yaml", elasticmq.endpoint_url, {"orders": orders}), oracle)
    end = _finished(oracle, journal)
    end.in_order()
    assert end.dead == {"g0/3": 1}
    assert journal.done == dict.fromkeys(set(oracle.sent) - {"g0/3"}, 1)
    assert [visit.receives for visit in journal.of("g0/3")] == [1, 2, 3]
    others = [visit for visit in journal.visits if not visit.body.startswith("g0/")]
    assert {visit.receives for visit in others} == {1}
    assert journal.most_at_once > 1, "groups run in parallel"
    assert max(visit.ended for visit in others) < max(visit.ended for visit in journal.visits)


@pytest.mark.timeout(60)
def test_a_group_that_is_too_large_for_one_event_stays_in_order(
    tmp_path: Path, sqs_server: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    """What is read at once has to travel in several batches: the second waits for the first."""
    oracle, served = new_oracle(sqs_server, fifo=True, visibility=_VISIBILITY), functions()

    def behave(_: Call) -> Answer:
        time.sleep(0.3)
        return Answer()

    journal = Journal(served, behave)
    for group, bodies in grouped(2, 9):
        for body in bodies:
            oracle.send([f"{body}/{'x' * 900_000}"], group)
    orders = mapping(oracle.queue, served.url)
    _run(write_config(tmp_path / "esm.yaml", sqs_server.endpoint_url, {"orders": orders}), oracle)
    end = account(oracle, journal)
    end.exactly_once()
    end.in_order()
    assert all(len(payload) <= 6 * 1024 * 1024 for payload in served.payloads)


@pytest.mark.timeout(60)
def test_a_group_that_fails_as_one_is_done_in_order(
    tmp_path: Path, elasticmq: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    """`fifo_failure: group`: nothing of a group is done before what stands in front of it."""
    oracle, served = new_oracle(elasticmq, fifo=True, visibility=_VISIBILITY, max_receives=10), functions()

    def behave(call: Call) -> Answer:
        tries = dict(zip(call.bodies, call.receives, strict=True))
        return failing(call, *(body for body in ("g0/3", "g1/0") if tries.get(body, 3) < 3))

    journal = Journal(served, behave, rest_of_groups)
    orders = mapping(oracle.queue, served.url, fifo_failure="group", **_REPORTS)
    for group, bodies in grouped(3, 9):
        oracle.send(bodies, group)
    _run(write_config(tmp_path / "esm.yaml", elasticmq.endpoint_url, {"orders": orders}), oracle)
    end = _finished(oracle, journal)
    end.in_order()
    assert journal.done == dict.fromkeys(oracle.sent, 1)
    done = [visit.body for visit in journal.visits if visit.done]
    for group, bodies in grouped(3, 9):
        assert [body for body in done if body.startswith(f"{group}/")] == bodies


@pytest.mark.timeout(60)
def test_a_throw_holds_its_group_back_and_keeps_its_order(
    tmp_path: Path, ministack: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    oracle, served = new_oracle(ministack, fifo=True, visibility=_VISIBILITY, max_receives=10), functions()
    thrown: list[Call] = []

    def behave(call: Call) -> Answer:
        if "g0/2" in call.bodies and len(thrown) < 2:
            thrown.append(call)
            return Answer(headers={"X-Amz-Function-Error": "Unhandled"})
        return Answer()

    journal = Journal(served, behave)
    orders = mapping(oracle.queue, served.url, batch_size=4)
    for group, bodies in grouped(4, 8):
        oracle.send(bodies, group)
    _run(write_config(tmp_path / "esm.yaml", ministack.endpoint_url, {"orders": orders}), oracle)
    end = _finished(oracle, journal)
    end.in_order()
    assert journal.done == dict.fromkeys(oracle.sent, 1)
    assert len(thrown) == 2
    touched = {body.partition("/")[0] for call in thrown for body in call.bodies}
    finished = [body for body in served.order if body.partition("/")[0] not in touched]
    assert finished, "groups beside the thrown batch"
    assert {visit.receives for visit in journal.visits if visit.body in finished} == {1}
