"""Targets that several mappings share, and targets that are switched off."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from servers import Server

from .function import Answer, Call, Function
from .harness import daemon, mapping, until, write_config
from .journal import Journal, numbered
from .queue_account import Oracle, account

NewOracle = Callable[..., Oracle]
Functions = Callable[[], Function]

_CAP = 2


@pytest.mark.timeout(60)
def test_a_shared_target_is_never_called_more_often_at_once_than_reserved(
    tmp_path: Path, ministack: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    """The visibility timeout is shorter than the wait for a slot, and both mappings get their turns."""
    oracles = {name: new_oracle(ministack, visibility=2) for name in ("left", "right")}
    served = functions()

    def behave(_: Call) -> Answer:
        time.sleep(0.5)
        return Answer()

    journal = Journal(served, behave)
    config = write_config(
        tmp_path / "esm.yaml",
        ministack.endpoint_url,
        {name: mapping(oracle.queue, "shared", batch_size=4) for name, oracle in oracles.items()},
        targets={"shared": {"type": "http", "url": served.url, "reserved_concurrency": _CAP}},
    )
    for name, oracle in oracles.items():
        oracle.send(numbered(40, name))
    with daemon(config) as running:
        assert running.url
        for oracle in oracles.values():
            oracle.drained()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    assert journal.most_at_once == _CAP
    for name, oracle in oracles.items():
        end = account(oracle, journal)
        assert not end.waiting
        assert {body: journal.done[body] for body in oracle.sent} == dict.fromkeys(oracle.sent, 1), name
        end.no_receive_burnt()
    callers = [call.headers["X-ESM-Mapping"] for call in served.calls]
    both = callers[: 2 * min(callers.count("left"), callers.count("right"))]
    assert abs(both.count("left") - both.count("right")) <= _CAP + 1, "turns are fair"


@pytest.mark.timeout(60)
def test_a_target_that_is_switched_off_leaves_its_queue_alone(
    tmp_path: Path, sqs_server: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    off, on = new_oracle(sqs_server, visibility=2), new_oracle(sqs_server, visibility=2)
    never, served = functions(), functions()
    journal = Journal(served)
    config = write_config(
        tmp_path / "esm.yaml",
        sqs_server.endpoint_url,
        {"off": mapping(off.queue, "closed"), "on": mapping(on.queue, served.url)},
        targets={"closed": {"type": "http", "url": never.url, "reserved_concurrency": 0}},
    )
    off.send(numbered(15))
    with daemon(config) as running:
        until(lambda: running.status("off")["state"] == "Enabled", "it is on")
        on.send(numbered(40))
        on.drained()
        assert running.status("off")["counts"]["polled"] == 0
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    assert off.depth() == (15, 0)
    assert off.receives() == [1] * 15, "this look is the first"
    assert never.calls == []
    account(on, journal).exactly_once()
