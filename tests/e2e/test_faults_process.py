"""The daemon's own end, wanted or not, and its companions: nothing is lost and nothing is half done."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from servers import Server

from .function import Answer, Call, Function
from .harness import ESM, Daemon, daemon, mapping, until, write_config
from .journal import Journal, grouped, numbered
from .queue_account import Interruption, Oracle, account

NewOracle = Callable[..., Oracle]
Functions = Callable[[], Function]

_PIPE_BLOCK = 4096


def _slowly(least: float, most: float) -> Callable[[Call], Answer]:
    chance = random.Random(3)

    def behave(_: Call) -> Answer:
        time.sleep(chance.uniform(least, most))
        return Answer()

    return behave


def _send(oracle: Oracle, count: int, *, fifo: bool) -> None:
    if not fifo:
        oracle.send(numbered(count))
        return
    for group, bodies in grouped(6, count // 6):
        oracle.send(bodies, group)


def _stop(running: Daemon) -> None:
    running.signal(signal.SIGTERM)
    assert running.wait() == 0, running.output


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_sigterm_under_load_leaves_nothing_half_done(
    tmp_path: Path, request: pytest.FixtureRequest, new_oracle: NewOracle, functions: Functions, *, fifo: bool
) -> None:
    server: Server = request.getfixturevalue("ministack" if fifo else "elasticmq")
    oracle, served = new_oracle(server, fifo=fifo, visibility=60), functions()
    journal = Journal(served, _slowly(0.3, 0.3))
    orders = mapping(oracle.queue, served.url, scaling_config={"maximum_concurrency": 3})
    config = write_config(tmp_path / "esm.yaml", server.endpoint_url, {"orders": orders})
    _send(oracle, 180, fifo=fifo)
    with daemon(config) as running:
        assert running.url
        until(lambda: len(served.calls) >= 4, "the function is busy")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
        assert journal.now == 0, "every call was awaited"
    assert journal.most_at_once > 1
    visible, in_flight = oracle.depth()
    assert visible > 0, "the load outlived the daemon"
    assert in_flight == 0, "what was never sent waits for nobody"
    end = account(oracle, journal)
    end.balances()
    end.no_receive_burnt()
    assert set(journal.done.values()) == {1}
    assert not set(journal.done) & set(end.waiting), "what was done was deleted"


@pytest.mark.timeout(60)
def test_what_was_never_sent_is_back_before_the_function_has_ended(
    tmp_path: Path, sqs_server: Server, new_oracle: NewOracle, functions: Functions
) -> None:
    """A full batch is at the function, the rest was read and waits for the window to end."""
    oracle, served = new_oracle(sqs_server, visibility=60), functions()
    journal = Journal(served, served.held)
    options = {"batch_size": 20, "maximum_batching_window_in_seconds": 60}
    config = write_config(
        tmp_path / "esm.yaml",
        sqs_server.endpoint_url,
        {"orders": mapping(oracle.queue, served.url, **options)},
    )
    oracle.send(numbered(34))
    with daemon(config) as running:
        until(lambda: served.calls and oracle.depth() == (0, 34), "everything is read, a part of it sent")
        running.signal(signal.SIGTERM)
        until(lambda: oracle.depth() == (14, 20), "what was never sent is back")
        assert journal.now == 1
        served.gate.set()
        assert running.wait() == 0, running.output
    end = account(oracle, journal)
    end.balances()
    assert sum(journal.done.values()) == 20
    assert sum(end.waiting.values()) == 14


@pytest.mark.timeout(90)
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_kills_at_random_moments_lose_nothing(
    tmp_path: Path, request: pytest.FixtureRequest, new_oracle: NewOracle, functions: Functions, *, fifo: bool
) -> None:
    """Half of the kills come while it starts, the others while it works."""
    server: Server = request.getfixturevalue("elasticmq" if fifo else "ministack")
    chance = random.Random(3)
    oracle, served = new_oracle(server, fifo=fifo, visibility=2, max_receives=100), functions()
    journal = Journal(served, _slowly(0.05, 0.4))
    orders = mapping(oracle.queue, served.url, scaling_config={"maximum_concurrency": 3})
    config = write_config(tmp_path / "esm.yaml", server.endpoint_url, {"orders": orders})
    _send(oracle, 150, fifo=fifo)
    kills = [_kill(config, served, chance.uniform(0.0, 0.4), working=bool(index % 2)) for index in range(4)]
    assert any(oracle.depth()), "the load outlived the kills"
    with daemon(config) as running:
        assert running.url
        oracle.drained()
        _stop(running)
    end = account(oracle, journal, kills)
    end.balances()
    assert set(journal.done) == set(oracle.sent)
    assert not end.dead
    most = {body: max(visit.receives for visit in journal.of(body)) for body in oracle.sent}
    assert max(most.values()) <= len(kills) + 1, "one receive for each kill, and the one that counted"
    if fifo:
        end.in_order()


def _kill(config: Path, served: Function, after: float, *, working: bool) -> Interruption:
    """A kill `after` seconds of work, or of reading."""
    before = len(served.calls)
    with daemon(config) as running:
        assert running.url
        if working:
            until(lambda: len(served.calls) > before, "it works")
        time.sleep(after)
        began = time.monotonic()
        running.kill()
        return Interruption(began, time.monotonic())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_two_replicas_share_a_queue_and_one_takes_over(
    tmp_path: Path, request: pytest.FixtureRequest, new_oracle: NewOracle, functions: Functions, *, fifo: bool
) -> None:
    server: Server = request.getfixturevalue("elasticmq" if fifo else "ministack")
    oracle, served = new_oracle(server, fifo=fifo, visibility=3, max_receives=100), functions()
    journal = Journal(served, _slowly(0.15, 0.15))
    left, right = (
        write_config(
            tmp_path / f"{name}.yaml",
            server.endpoint_url,
            {name: mapping(oracle.queue, served.url, scaling_config={"maximum_concurrency": 2})},
        )
        for name in ("left", "right")
    )
    with daemon(left) as first, daemon(right) as second:
        assert first.url
        assert second.url
        _send(oracle, 180, fifo=fifo)
        until(lambda: _callers(served) == {"left", "right"}, "both work")
        began = time.monotonic()
        first.kill()
        oracle.drained()
        _stop(second)
    end = account(oracle, journal, [Interruption(began, began + 1.0)])
    end.balances()
    assert set(journal.done) == set(oracle.sent)
    assert sum(journal.done.values()) == len(journal.visits)
    assert not end.dead
    if fifo:
        end.in_order()


def _callers(served: Function) -> set[str]:
    return {call.headers["X-ESM-Mapping"] for call in served.calls}


@contextmanager
def _full_device() -> Iterator[int]:
    with Path("/dev/full").open("wb") as file:
        yield file.fileno()


@contextmanager
def _closed_pipe() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@contextmanager
def _full_pipe() -> Iterator[int]:
    """Somebody holds it open and does not read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"\n" * _PIPE_BLOCK)
    except BlockingIOError:
        os.set_blocking(writer, True)
    try:
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("output", [_full_device, _closed_pipe, _full_pipe])
def test_a_log_that_nobody_takes_holds_up_nothing(
    tmp_path: Path, ministack: Server, new_oracle: NewOracle, functions: Functions, output: Any
) -> None:
    oracle, served = new_oracle(ministack, visibility=5), functions()
    journal = Journal(served)
    config = write_config(
        tmp_path / "esm.yaml", ministack.endpoint_url, {"orders": mapping(oracle.queue, served.url)}
    )
    oracle.send(numbered(40))
    with output() as stream, _writing_to(stream, config) as process:
        oracle.drained()
        until(lambda: not journal.now, "all is answered")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    account(oracle, journal).exactly_once()


@contextmanager
def _writing_to(stream: int, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*ESM, "run", "--config", str(config)], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
