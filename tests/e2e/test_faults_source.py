"""Queues that cannot be read for a while, or not at all: a problem with a reason, for its mapping alone."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from servers import ELASTICMQ, MINISTACK, Queue, Server

from .function import Answer, Call, Function
from .harness import Daemon, daemon, mapping, until, write_config
from .journal import Journal, grouped, numbered
from .queue_account import Interruption, Oracle, account

NewOracle = Callable[..., Oracle]
Functions = Callable[[], Function]

_ACCOUNT = "000000000000"


def _problem(running: Daemon, name: str) -> str:
    """The reason, once there is one."""

    def shown() -> str:
        result = str(running.status(name)["last_processing_result"])
        return result if result.startswith("PROBLEM: ") else ""

    return until(shown, f"{name} shows its problem")


def _stop(running: Daemon) -> None:
    running.signal(signal.SIGTERM)
    assert running.wait() == 0, running.output


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("own_sqs_server", "fifo"),
    [pytest.param(ELASTICMQ, False, id="elasticmq-standard"), pytest.param(MINISTACK, True, id="ministack-fifo")],
    indirect=["own_sqs_server"],
)
def test_an_outage_of_the_queue_loses_nothing(
    tmp_path: Path, own_sqs_server: Server, new_oracle: NewOracle, functions: Functions, *, fifo: bool
) -> None:
    """ElasticMQ forgets over a restart that messages in flight block their group: no order to be kept there."""
    oracle, served = new_oracle(own_sqs_server, fifo=fifo, visibility=5), functions()

    def behave(_: Call) -> Answer:
        time.sleep(0.2)
        return Answer()

    journal = Journal(served, behave)
    orders = mapping(oracle.queue, served.url, scaling_config={"maximum_concurrency": 2})
    config = write_config(tmp_path / "esm.yaml", own_sqs_server.endpoint_url, {"orders": orders})
    for group, bodies in grouped(5, 24):
        oracle.send(bodies, group if fifo else None)
    with daemon(config) as running:
        assert running.url
        until(lambda: len(journal.done) >= 20, "it works")
        began = time.monotonic()
        own_sqs_server.stop()
        problem = _problem(running, "orders")
        assert "SQS" in problem
        assert running.get("/healthz")
        own_sqs_server.start()
        outage = Interruption(began, time.monotonic())
        oracle.drained(within=60)
        until(lambda: running.status("orders")["last_processing_result"] == "OK", "it is well again")
        _stop(running)
    end = account(oracle, journal, [outage])
    end.balances()
    assert set(journal.done) == set(oracle.sent)
    if fifo:
        end.in_order()


@pytest.mark.timeout(60)
def test_a_missing_queue_is_a_problem_until_it_is_there(
    tmp_path: Path,
    ministack: Server,
    new_oracle: NewOracle,
    functions: Functions,
    boto_sqs: Callable[[str], Any],
) -> None:
    other, served, late = new_oracle(ministack, visibility=5), functions(), functions()
    name = f"{other.queue.name}-late"
    missing = Queue(name, "", f"arn:aws:sqs:us-east-1:{_ACCOUNT}:{name}")
    mappings = {"other": mapping(other.queue, served.url), "late": mapping(missing, late.url)}
    config = write_config(tmp_path / "esm.yaml", ministack.endpoint_url, mappings)
    journal, late_journal = Journal(served), Journal(late)
    with daemon(config) as running:
        problem = _problem(running, "late")
        assert "NonExistentQueue" in problem
        other.send(numbered(30))
        other.drained()
        client = boto_sqs(ministack.endpoint_url)
        url = client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
        oracle = Oracle(client, Queue(name, url, missing.arn))
        oracle.send(numbered(30, "late"))
        oracle.drained()
        assert running.status("late")["last_processing_result"] == "OK"
        _stop(running)
    account(other, journal).exactly_once()
    account(oracle, late_journal).exactly_once()


@pytest.mark.timeout(60)
def test_a_queue_that_is_deleted_and_made_again_is_read_again(
    tmp_path: Path,
    ministack: Server,
    new_oracle: NewOracle,
    functions: Functions,
    boto_sqs: Callable[[str], Any],
) -> None:
    oracle, served = new_oracle(ministack, visibility=5), functions()
    config = write_config(
        tmp_path / "esm.yaml", ministack.endpoint_url, {"orders": mapping(oracle.queue, served.url)}
    )
    journal = Journal(served)
    client = boto_sqs(ministack.endpoint_url)
    with daemon(config) as running:
        oracle.send(numbered(20))
        oracle.drained()
        client.delete_queue(QueueUrl=oracle.queue.url)
        assert "NonExistentQueue" in _problem(running, "orders")
        client.create_queue(QueueName=oracle.queue.name, Attributes={"VisibilityTimeout": "5"})
        oracle.send(numbered(20, "again"))
        oracle.drained()
        assert running.status("orders")["last_processing_result"] == "OK"
        _stop(running)
    account(oracle, journal).exactly_once()
