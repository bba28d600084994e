"""Filters, end to end: what matches is done once and in order, what does not is gone, and the counters say so."""

import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from servers import Server

from .function import Answer, Function
from .harness import daemon, mapping, until, write_config
from .journal import Journal
from .queue_account import Oracle, account

NewOracle = Callable[..., Oracle]
Functions = Callable[[], Function]

CRITERIA = {
    "filters": [
        {"pattern": {"body": {"kind": ["order"], "number": [{"numeric": ["<", 20]}]}}},
        {"pattern": json.dumps({"body": [{"prefix": "plain/keep"}]})},
    ]
}


def bodies(group: str, count: int) -> list[str]:
    """Half of the numbers pass; the text messages in between pass or do not by their beginning."""
    made = []
    for number in range(count):
        made.append(json.dumps({"kind": "order", "number": number, "group": group}))
        made.append(f"plain/{'keep' if number % 3 else 'drop'}/{group}/{number}")
    return made


def passes(body: str) -> bool:
    return json.loads(body)["number"] < 20 if body.startswith("{") else body.startswith("plain/keep")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_what_matches_is_done_and_the_rest_is_deleted(
    tmp_path: Path, sqs_server: Server, new_oracle: NewOracle, functions: Functions, *, fifo: bool
) -> None:
    oracle, served = new_oracle(sqs_server, fifo=fifo), functions()
    journal = Journal(served, lambda _: Answer())
    for group in ("g0", "g1"):
        oracle.send(bodies(group, 40), group if fifo else None)
    orders = mapping(oracle.queue, served.url, filter_criteria=CRITERIA)
    with daemon(write_config(tmp_path / "esm.yaml", sqs_server.endpoint_url, {"orders": orders})) as running:
        oracle.drained()
        matching = [body for body in oracle.sent if passes(body)]
        wanted = {"filtered": len(oracle.sent) - len(matching), "deleted": len(matching)}
        until(lambda: wanted.items() <= running.status("orders")["counts"].items(), f"counts: {wanted}")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    end = account(oracle, journal)
    assert not end.waiting
    assert journal.done == Counter(matching)
    if not fifo:
        end.no_receive_burnt()
        return
    for group in ("g0", "g1"):
        came = [visit.body for visit in sorted(journal.visits, key=lambda visit: visit.began)]
        assert [body for body in came if group in body] == [body for body in matching if group in body]
