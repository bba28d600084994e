"""`esm validate --connect` asks real queues and functions."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import QueueMaker, Server

from .function import Function, function
from .harness import esm, write_config

Clients = Callable[[str], Any]


@pytest.fixture
def served() -> Iterator[Function]:
    with function() as running:
        yield running


def test_what_answers_and_fits_is_valid(
    tmp_path: Path, sqs_server: Server, make_queue: QueueMaker, served: Function
) -> None:
    queue = make_queue(sqs_server.endpoint_url, visibility=180, max_receives=3)
    config = write_config(
        tmp_path / "esm.yaml",
        sqs_server.endpoint_url,
        {"orders": {"source": queue.arn, "target": {"type": "http", "url": served.url, "timeout": "30s"}}},
    )
    ended = esm("validate", "--config", config, "--connect")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "mappings.orders.source: answers" in ended.stdout
    assert f"{config}: valid, 1 mapping and 1 target" in ended.stdout
    assert served.calls == []


def test_what_will_hurt_is_a_warning(
    tmp_path: Path, sqs_server: Server, make_queue: QueueMaker, served: Function
) -> None:
    queue = make_queue(sqs_server.endpoint_url, visibility=10)
    orders = {
        "source": queue.arn,
        "target": {"type": "http", "url": served.url, "timeout": "30s"},
        "batch_size": 10_000,
        "maximum_batching_window_in_seconds": 1,
        "scaling_config": {"maximum_concurrency": 100},
    }
    config = write_config(tmp_path / "esm.yaml", sqs_server.endpoint_url, {"orders": orders})
    ended = esm("validate", "--config", config, "--connect")
    assert ended.returncode == 0, ended.stderr
    warnings = ended.stderr.splitlines()
    at = 1 + next(n for n, line in enumerate(config.read_text().splitlines()) if '"source"' in line)
    assert all(line.startswith(f"warning: {config}:{at}: mappings.orders.source: ") for line in warnings)
    for part in ("visibility timeout", "redrive policy", "1,000,000"):
        assert sum(part in line for line in warnings) == 1, part


def test_whatever_does_not_answer_is_named_all_at_once(
    tmp_path: Path, sqs_server: Server, make_queue: QueueMaker
) -> None:
    queue = make_queue(sqs_server.endpoint_url, visibility=60, max_receives=3)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        config = write_config(
            tmp_path / "esm.yaml",
            sqs_server.endpoint_url,
            {
                "orders": {"source": f"{queue.arn}-missing", "target": "down"},
                "invoices": {"source": queue.arn, "target": "python:no_such_module:handle"},
            },
            targets={"down": {"type": "http", "url": nowhere, "invocations_per_second": 5}},
        )
        ended = esm("validate", "--config", config, "--connect")
    assert ended.returncode == 2
    assert sum(": mappings.orders.source: " in line for line in ended.stderr.splitlines()) == 1
    assert sum(": target down: cannot connect" in line for line in ended.stderr.splitlines()) == 1
    assert "no_such_module" in ended.stderr
    assert "mappings.invoices.source: answers" in ended.stdout
    assert "Traceback" not in ended.stderr
