"""The whole demonstration, as a command and with faults planted in it."""

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil  # type: ignore[import-untyped]
import pytest
from rich.console import Console

from esm.demo import Demo, DemoFailed, play
from esm.demo.kinesis_local import PACKAGE, StreamServer, stream_server
from esm.demo.process import free_port
from esm.demo.workload import Message, Nature
from esm.runtime.signals import Stop

ESM = (sys.executable, "-m", "esm")
FEW = {
    "orders": [Message(f"order-{number}", None, number, Nature.GOOD) for number in range(1, 13)],
    "payments": [
        Message(f"payment-{number}", f"group-{number % 2}", number, Nature.GOOD) for number in range(1, 9)
    ],
    "clicks": [Message(f"click-{number}", f"key-{number % 5}", number, Nature.GOOD) for number in range(1, 31)],
    "accounts": [Message(f"change-{number}", f"item-{number % 2}", number, Nature.GOOD) for number in range(1, 9)],
    "parcels": [Message(f"parcel-{number}", f"van-{number % 3}", number, Nature.GOOD) for number in range(1, 13)],
}
# The first test of a fresh checkout also installs the servers.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(autouse=True)
def places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The servers are installed beside the others of the tests; what a run leaves behind would be here.

    Its path is short, because there will be Unix sockets below it.
    """
    tmp_path_factory.getbasetemp()  # before TMPDIR is another, or the folders of all tests would be made there
    scratch = tempfile.mkdtemp(prefix="esm-", dir="/tmp")
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path(__file__).parents[2] / ".servers"))
    monkeypatch.setenv("TMPDIR", scratch)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    yield Path(scratch)
    shutil.rmtree(scratch)


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*ESM, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"{pattern!r} is not in:\n{seen}")


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def with_programs(folder: Path, programs: dict[str, str]) -> Path:
    folder.mkdir()
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


def test_it_ends_by_itself_with_an_account_that_balances(places: Path) -> None:
    began = time.monotonic()
    with started() as process:
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    installing = "Installing" in output or "Fetching" in output
    assert installing or time.monotonic() - began < 60
    assert "The account balances: sent = delivered + dead-lettered, lost 0, order kept." in output
    assert "\x1b" not in output
    assert re.search(r"orders +300 +288 +12 +0 +0 ", output)
    assert re.search(r"payments.fifo +240 +\d+ +\d+ +0 +0 +\d+ +kept", output)
    assert re.search(r"clicks stream +300 +294 +6 +0 +0 +\d+ +kept", output)
    assert re.search(r"accounts table +130 +128 +2 +0 +0 +\d+ +kept", output)
    assert re.search(r"parcels topic +200 +196 +4 +0 +0 +\d+ +kept", output)
    assert "Split shardId-" in output or re.search(r"will not be split.*\((node is not installed|npm)", output)
    assert left_in(places) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(places: Path, number: signal.Signals) -> None:
    with started() as process:
        read_until(process, r"orders: .* done")
        children = family(process)
        assert len(children) >= 2
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, output
    assert psutil.wait_procs(children, timeout=5)[1] == []
    assert left_in(places) == []


def test_what_it_started_does_not_outlive_it_when_it_is_killed() -> None:
    with started("--serve") as process:
        read_until(process, r"http://127.0.0.1:\d+/metrics")
        children = family(process)
        process.kill()
        assert len(children) >= 4
        assert psutil.wait_procs(children, timeout=10)[1] == []


def test_serving_says_where_avoids_a_taken_port_and_ends_in_order(places: Path) -> None:
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(_listening())
        process = stack.enter_context(started("--serve", "--port", str(taken)))
        metrics = read_until(process, r"http://127.0.0.1:(\d+)/metrics")
        assert int(metrics[1]) != taken
        url = metrics[0].removesuffix("/metrics")
        command = [*ESM, "status", "--lanes", "--url", url]
        status = subprocess.run(command, check=False, capture_output=True, text=True)
        assert status.returncode == 0, status.stderr
        assert "payments" in status.stdout
        assert re.search(r"clicks +│ shardId-000000000001 +│ Reading", status.stdout)
        assert re.search(r"accounts +│ \S*shardId-\S+ +│ Reading", status.stdout)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "The account balances" in output
    assert left_in(places) == []


async def test_messages_that_the_function_forgot_are_found_missing(places: Path) -> None:
    text = io.StringIO()
    demo = Demo(Console(file=text, width=120), port=0, handler="forgetful:handle", sent=FEW)
    assert await play(demo, Stop()) is False
    assert "The account does NOT balance." in text.getvalue()
    assert "orders: 1 lost: order-7" in text.getvalue()
    assert "clicks stream: 1 lost: click-7" in text.getvalue()
    assert "accounts table: 1 lost: change-7" in text.getvalue()
    assert "parcels topic: 1 lost: parcel-7" in text.getvalue()
    assert left_in(places) == []


async def test_without_node_the_stream_is_on_the_emulator_and_is_not_split(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(places))
    text = io.StringIO()
    demo = Demo(Console(file=text, width=120), port=0, sent=FEW)
    assert await play(demo, Stop()) is True
    assert "The stream will not be split" in text.getvalue()
    assert "(node is not installed)" in text.getvalue()
    assert "Sent 15 more records to the stream clicks" in text.getvalue()
    assert re.search(r"clicks stream +30 +30 +0 +0 +0 +\d+ +kept", text.getvalue())
    assert left_in(places) == []


@pytest.mark.parametrize(
    ("programs", "reason"),
    [
        ({"node": "exit 0"}, "npm is not installed"),
        ({"node": "exit 0", "npm": "echo npm error code ENOTFOUND; exit 1"}, "npm: code ENOTFOUND"),
        (
            {"node": "exit 3", "npm": '/bin/mkdir -p "${11}/node_modules/kinesis-local"'},
            "kinesis-local ended with exit code 3",
        ),
    ],
)
async def test_a_stream_server_that_cannot_be_had_leaves_the_emulator_and_a_line(
    places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: dict[str, str], reason: str
) -> None:
    cache, lines = tmp_path / "cache", list[str]()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("PATH", str(with_programs(places / "bin", programs)))
    async with (
        aiohttp.ClientSession() as session,
        stream_server(session, tmp_path, "http://emulator", lines.append) as server,
    ):
        assert server == StreamServer("http://emulator", splits=False)
    assert PACKAGE in lines[0]
    assert lines[0].endswith("once …")
    assert re.search(rf"not be split, because .* \({reason}\)", lines[1])
    assert len(lines) == 2


async def test_an_engine_that_does_not_start_is_shown_with_its_own_words(places: Path) -> None:
    demo = Demo(Console(file=io.StringIO()), port=0, handler="no_such_module:handle", sent=FEW)
    with pytest.raises(DemoFailed, match=r"the engine ended with exit code 2(?s:.*)no_such_module"):
        await play(demo, Stop())
    assert left_in(places) == []


async def test_an_emulator_that_cannot_be_installed_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DemoFailed, match=r"ministack==1\.5\.33(?s:.*)package index"):
        await play(Demo(Console(file=io.StringIO()), sent=FEW), Stop())
    (left,) = left_in(cache / "esm")
    assert left.endswith(".lock")


def test_a_port_that_is_free_is_used() -> None:
    assert free_port(port := free_port()) == port


@contextlib.contextmanager
def _listening() -> Iterator[int]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])
