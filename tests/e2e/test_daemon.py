"""A daemon from its start to its exit code."""

import json
import signal
import socket
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import QueueMaker, Server

from .function import Answer, Call, Function, failing, function
from .harness import daemon, esm, mapping, until, write_config
from .queue_account import Oracle

Clients = Callable[[str], Any]


@pytest.fixture
def served() -> Iterator[Function]:
    with function() as running:
        yield running


@pytest.fixture
def oracle(ministack: Server, boto_sqs: Clients, make_queue: QueueMaker) -> Oracle:
    queue = make_queue(ministack.endpoint_url, visibility=5, max_receives=3)
    return Oracle(boto_sqs(ministack.endpoint_url), queue)


@pytest.fixture
def config(tmp_path: Path, ministack: Server, oracle: Oracle, served: Function) -> Path:
    orders = mapping(oracle.queue, served.url, function_response_types=["ReportBatchItemFailures"])
    return write_config(tmp_path / "esm.yaml", ministack.endpoint_url, {"orders": orders})


def test_what_is_sent_is_delivered_or_dead_lettered(config: Path, oracle: Oracle, served: Function) -> None:
    bodies = [f"order-{number}" for number in range(40)]
    served.behave = lambda call: failing(call, "order-7", "order-23")
    oracle.send(bodies)
    with daemon(config) as running:
        assert running.url
        oracle.drained()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
    assert sorted(oracle.dead()) == ["order-23", "order-7"]
    assert served.done == {body: 1 for body in bodies if body not in {"order-7", "order-23"}}
    counts = [call.receives[call.bodies.index("order-7")] for call in served.calls if "order-7" in call.bodies]
    assert counts == [1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_at_the_function_finish(
    config: Path, oracle: Oracle, served: Function, number: signal.Signals
) -> None:
    served.behave = served.held
    oracle.send([f"order-{index}" for index in range(30)])
    with daemon(config) as running:
        until(lambda: served.calls, "the function is called")
        running.signal(number)
        until(lambda: running.lines("stopping"), "the signal is heard")
        served.gate.set()
        assert running.wait() == 0
        assert running.lines("stopped")[0]["settled"] is True
    waiting = oracle.waiting()
    assert sorted([*served.done, *waiting]) == sorted(oracle.sent)
    assert set(served.done.values()) == {1}


def test_what_was_never_sent_is_given_back_at_once_and_once(
    tmp_path: Path, ministack: Server, oracle: Oracle, served: Function
) -> None:
    """Given back while a receive of ours is open, it would be received again, and might end as a dead letter."""
    orders = mapping(oracle.queue, served.url, batch_size=1000, maximum_batching_window_in_seconds=60)
    config = write_config(tmp_path / "esm.yaml", ministack.endpoint_url, {"orders": orders})
    oracle.send([f"order-{index}" for index in range(20)])
    with daemon(config) as running:
        until(lambda: oracle.depth() == (0, 20), "everything is gathered")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
    assert oracle.dead() == []
    assert oracle.depth() == (20, 0), "nothing waits for its visibility timeout"
    assert oracle.receives() == [2] * 20, "one by the engine, one by this look"
    assert served.calls == []


def test_a_second_signal_stops_at_once_and_lists_what_was_not_settled(
    config: Path, oracle: Oracle, served: Function
) -> None:
    served.behave = served.held
    oracle.send(["stuck"])
    with daemon(config) as running:
        (call,) = until(lambda: served.calls, "the function is called")
        running.signal(signal.SIGTERM)
        until(lambda: running.lines("stopping"), "the first signal is heard")
        running.signal(signal.SIGTERM)
        assert running.wait(within=5) == 1
        (unsettled,) = running.lines("not settled")
    assert unsettled["mapping"] == "orders"
    assert unsettled["record_ids"] == list(call.message_ids)
    assert oracle.waiting() == ["stuck"]


def test_a_function_slower_than_the_grace_is_left_behind(
    tmp_path: Path, ministack: Server, oracle: Oracle, served: Function
) -> None:
    served.behave = served.held
    config = write_config(
        tmp_path / "esm.yaml",
        ministack.endpoint_url,
        {"orders": mapping(oracle.queue, served.url)},
        shutdown_grace="500ms",
    )
    oracle.send(["slow"])
    with daemon(config) as running:
        until(lambda: served.calls, "the function is called")
        running.signal(signal.SIGTERM)
        assert running.wait(within=10) == 1
        assert running.lines("not settled")


def test_after_a_crash_nothing_is_lost(config: Path, oracle: Oracle, served: Function) -> None:
    served.behave = served.held
    oracle.send([f"order-{index}" for index in range(30)])
    with daemon(config) as running:
        until(lambda: served.calls, "the function is called")
        running.kill()
    served.gate.set()
    served.behave = lambda _: Answer()
    with daemon(config) as running:
        assert running.url
        oracle.drained()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
    assert set(served.done) == set(oracle.sent)
    assert oracle.dead() == []


def test_a_wrong_configuration_starts_nothing(tmp_path: Path, oracle: Oracle, served: Function) -> None:
    path = tmp_path / "esm.yaml"
    path.write_text(
        f"server: {{listen: '127.0.0.1:0'}}\n"
        f"mappings:\n"
        f"  orders: {{source: '{oracle.queue.arn}', target: '{served.url}', batch_sise: 10}}\n"
        f"  other: {{source: '{oracle.queue.arn}', target: '{served.url}', batch_size: 0}}\n"
    )
    oracle.send(["untouched"])
    ended = esm("run", "--config", path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    first, second = ended.stderr.splitlines()
    assert first.startswith(f"{path}:3: mappings.orders.batch_sise: ")
    assert "batch_size" in first
    assert second.startswith(f"{path}:4: mappings.other.batch_size: ")
    assert oracle.depth() == (1, 0)
    assert esm("validate", "--config", path).stderr == ended.stderr


def test_a_handler_that_cannot_be_imported_starts_nothing(
    tmp_path: Path, ministack: Server, oracle: Oracle
) -> None:
    orders = mapping(oracle.queue, "python:no_such_module:handle")
    config = write_config(tmp_path / "esm.yaml", ministack.endpoint_url, {"orders": orders})
    oracle.send(["untouched"])
    ended = esm("run", "--config", config)
    assert ended.returncode == 2
    assert "no_such_module" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert oracle.depth() == (1, 0)


def test_a_taken_port_is_named_with_its_option_and_nothing_is_read(
    tmp_path: Path, ministack: Server, oracle: Oracle, served: Function
) -> None:
    oracle.send(["untouched"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = write_config(
            tmp_path / "esm.yaml",
            ministack.endpoint_url,
            {"orders": mapping(oracle.queue, served.url)},
            server={"listen": address},
        )
        ended = esm("run", "--config", config)
    assert ended.returncode == 2
    assert "server.listen" in ended.stderr
    assert address in ended.stderr
    assert "Traceback" not in ended.stderr
    assert served.calls == []
    assert oracle.depth() == (1, 0)


def test_a_broken_mapping_is_a_problem_of_its_own(
    tmp_path: Path, ministack: Server, oracle: Oracle, served: Function
) -> None:
    missing = {"source": f"{oracle.queue.arn}-missing", "target": served.url}
    config = write_config(
        tmp_path / "esm.yaml",
        ministack.endpoint_url,
        {"orders": mapping(oracle.queue, served.url), "broken": missing},
    )
    oracle.send(["fine"])
    with daemon(config) as running:
        assert running.get("/readyz") == "ready\n"
        until(lambda: running.status("broken")["last_processing_result"].startswith("PROBLEM"), "the problem")
        until(lambda: served.done["fine"], "the other one works")
        with pytest.raises(urllib.error.HTTPError, match="503"):
            running.get("/readyz?mapping=broken")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0


def test_status_shows_a_table_or_the_document(config: Path, oracle: Oracle, served: Function) -> None:
    def behave(call: Call) -> Answer:
        return failing(call, "poison")

    served.behave = behave
    oracle.send(["good", "poison"])
    with daemon(config) as running:
        until(lambda: running.status("orders")["counts"]["deleted"] == 1, "one is deleted")
        table = esm("status", "--url", running.url)
        document = esm("status", "--url", running.url, "--json")
        assert table.returncode == document.returncode == 0
        (row,) = [line for line in table.stdout.splitlines() if "orders" in line and "Enabled" in line]
        assert "\x1b" not in table.stdout
        assert " OK " in row
        assert json.loads(document.stdout)["mappings"]["orders"]["counts"]["deleted"] == 1
        url = running.url
    gone = esm("status", "--url", url)
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"no engine answers at {url}: ")
    assert gone.stdout == ""
