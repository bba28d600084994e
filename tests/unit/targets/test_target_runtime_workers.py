"""Workers that the engine starts, with AWS's own runtime client for Python: their lives and their ends."""

import asyncio
import json
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import psutil  # type: ignore[import-untyped]
import pytest
from runtime_hand import CONTEXT, PATIENCE, call

from esm.model import Errored, Finding, Outcome, Refused, Returned
from esm.targets.runtime import PLUGIN, RuntimeOptions, open_runtime
from esm.targets.runtime.output import Output
from esm.targets.runtime.process import Keeper
from esm.targets.runtime.target import RuntimeTarget

FUNCTIONS = str(Path(__file__).parents[2] / "functions")
CLIENT = (sys.executable, "-m", "awslambdaric", "lambda_handlers.handler")


def opened(command: Sequence[str] = CLIENT, **options: Any) -> AbstractAsyncContextManager[RuntimeTarget]:
    given = {"command": command, "working_directory": FUNCTIONS, "timeout": PATIENCE, **options}
    return open_runtime(RuntimeOptions.model_validate(given), CONTEXT, chance=lambda: 0.999)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - of processes, nobody tells
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


async def pid_of(target: RuntimeTarget) -> int:
    reply = await target.invoke(call(do="pid"))
    assert isinstance(reply, Returned)
    return int(reply.payload)


async def test_a_function_is_told_what_lambda_tells_it() -> None:
    async with opened(environment={"ADDED": "1"}, function_name="invoices") as target:
        reply = await target.invoke(call(do="context"))
    assert isinstance(reply, Returned)
    told = json.loads(reply.payload)
    assert 0 < told.pop("left") <= PATIENCE * 1000
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", told.pop("trace"))
    assert told == {
        "request": reply.meta["request_id"],
        "name": "invoices",
        "version": "$LATEST",
        "arn": "arn:aws:lambda:eu-west-1:000000000000:function:invoices",
        "folder": FUNCTIONS,
        "environment": {
            "_HANDLER": "lambda_handlers.handler",
            "LAMBDA_TASK_ROOT": FUNCTIONS,
            "AWS_REGION": os.environ["AWS_REGION"],
            "ADDED": "1",
        },
    }


ENDS = [
    ("exit", "Runtime.ExitError: the function's process ended with exit code 3", "farewell\n"),
    ("kill", "Runtime.ExitError: the function's process was ended by Killed", ""),
]


@pytest.mark.parametrize(("order", "says", "printed"), ENDS, ids=[order for order, _, _ in ENDS])
async def test_a_worker_that_dies_is_an_error_of_the_function_and_another_follows(
    order: str, says: str, printed: str
) -> None:
    async with opened() as target:
        before = await pid_of(target)
        reply = await target.invoke(call(do=order))
        assert isinstance(reply, Errored)
        assert (reply.outcome, reply.message) == (Outcome.FUNCTION_ERROR, says)
        assert reply.meta.get("log_tail", "") == printed
        assert await pid_of(target) != before


async def test_one_that_is_killed_from_outside_in_the_middle_of_a_batch(tmp_path: Path) -> None:
    async with opened() as target, asyncio.TaskGroup() as group:
        running = group.create_task(target.invoke(call(do="family", pid_file=str(tmp_path / "pids"))))
        await until((tmp_path / "pids").exists)
        worker, child = json.loads((tmp_path / "pids").read_text())
        os.kill(worker, signal.SIGKILL)
        reply = await running
        assert isinstance(reply, Errored)
        assert reply.message == "Runtime.ExitError: the function's process was ended by Killed"
        await until(lambda: not alive(child))
        assert isinstance(await target.invoke(call(do="pid")), Returned)


HAUNTED = """
import http.client, os, pathlib, sys, time
worker = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
worker.connect()
ghost = pathlib.Path(sys.argv[1])
first = not ghost.exists()
if first and not os.fork():
    os.setsid()
    ghost.write_text(str(os.getpid()))
    time.sleep(600)
while True:
    worker.request("GET", "/2018-06-01/runtime/invocation/next")
    if first:
        while not ghost.with_suffix(".waits").exists():
            time.sleep(0.01)
        os._exit(1)
    answer = worker.getresponse()
    answer.read()
    request = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    worker.request("POST", f"/2018-06-01/runtime/invocation/{request}/response", body=b"7")
    worker.getresponse().read()
"""


async def test_a_dead_workers_question_is_not_answered_although_its_connection_lives_on(tmp_path: Path) -> None:
    """A daemon in a session of its own holds it open; the invocation would be lost until it times out."""
    ghost = tmp_path / "ghost"
    try:
        async with opened((sys.executable, "-c", HAUNTED, str(ghost))) as target:
            await until(lambda: ghost.exists() and target._desk.waiting)
            questions = set(target._desk._polls)
            ghost.with_suffix(".waits").touch()
            await until(lambda: questions.isdisjoint(target._desk._polls))
            async with asyncio.timeout(PATIENCE / 2):
                assert await target.invoke(call()) == Returned(b"7", ANY)
    finally:
        os.kill(int(ghost.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("ending", ["timeout", "cancelled"])
async def test_an_abandoned_invocation_ends_the_worker_with_all_it_started(ending: str, tmp_path: Path) -> None:
    async with opened(timeout=0.7 if ending == "timeout" else PATIENCE) as target, asyncio.TaskGroup() as group:
        running = group.create_task(target.invoke(call(do="family", pid_file=str(tmp_path / "pids"))))
        await until((tmp_path / "pids").exists)
        if ending == "cancelled":
            running.cancel()
            await asyncio.wait([running])
        else:
            reply = await running
            assert isinstance(reply, Errored)
            assert (reply.outcome, reply.message) == (Outcome.TIMEOUT, "Task timed out after 0.70 seconds")
        family = json.loads((tmp_path / "pids").read_text())
        await until(lambda: not any(alive(pid) for pid in family))
        assert await pid_of(target) not in family


async def test_too_large_an_answer_is_said_to_be() -> None:
    async with opened() as target:
        reply = await target.invoke(call(do="large", size=7_000_000))
        assert isinstance(reply, Errored)
        assert reply.message.startswith("Function.ResponseSizeTooLarge: ")
        assert isinstance(await target.invoke(call(do="large", size=6_000_000)), Returned)


async def test_what_a_function_prints_is_logged_and_kept_for_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "esm.function")
    async with opened() as target:
        assert isinstance(await target.invoke(call(do="print")), Returned)
        reply = await target.invoke(call(do="raise", text="no such customer"))
    assert isinstance(reply, Errored)
    assert reply.message == "RuntimeError: no such customer"
    assert reply.meta["error_type"] == "RuntimeError"
    assert "[ERROR] RuntimeError: no such customer" in reply.meta["log_tail"]
    assert "to standard" not in reply.meta["log_tail"]
    assert {"billing[1]: to standard output", "billing[1]: to standard error"} <= set(caplog.messages)


WRONG: list[tuple[tuple[str, ...], str]] = [
    (
        (*CLIENT[:3], "no_such_module.handler"),
        "Runtime.ImportModuleError: Unable to import module 'no_such_module'",
    ),
    ((*CLIENT[:3], "lambda_handlers.nothing"), "Runtime.HandlerNotFound: Handler 'nothing' missing"),
    (("/bin/sh", "-c", "echo out of luck; exit 4"), "exit code 4 before its first invocation: out of luck"),
    (("/bin/sh", "-c", "kill -9 $$"), "was ended by Killed before its first invocation"),
]


@pytest.mark.parametrize(("command", "says"), WRONG, ids=[says for _, says in WRONG])
async def test_a_function_that_cannot_start_is_neutral_and_says_why(command: tuple[str, ...], says: str) -> None:
    async with opened(command) as target:
        reply = await target.invoke(call())
        assert isinstance(reply, Refused)
        assert reply.outcome is Outcome.MISCONFIGURED
        assert reply.message.startswith("the function cannot be started: ")
        assert says in reply.message
        assert await target.check() == [Finding(broken=True, text=reply.message)]


async def test_a_function_that_can_start_has_nothing_to_remark() -> None:
    async with opened() as target:
        assert await target.check() == []


async def test_a_function_that_cannot_start_is_tried_again_after_pauses(tmp_path: Path) -> None:
    log = tmp_path / "starts"
    began = time.monotonic()
    async with opened(("/bin/sh", "-c", f"echo >> {log}; exit 1")) as target:
        await target.check()
        await until(lambda: log.read_text().count("\n") >= 3)
        took = time.monotonic() - began
    assert took >= 0.999 * (0.5 + 1.0)


async def test_a_function_that_recovers_is_called(tmp_path: Path) -> None:
    script = 'if [ -e "$FLAG" ]; then exec "$@"; fi; touch "$FLAG"; exit 1'
    flag = tmp_path / "failed-once"
    async with opened(("/bin/sh", "-c", script, "sh", *CLIENT), environment={"FLAG": str(flag)}) as target:
        assert isinstance(await target.invoke(call(do="pid")), Refused)
        async with asyncio.timeout(PATIENCE):
            while isinstance(await target.invoke(call(do="pid")), Refused):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"command": ["no-such-program"]}, "command: there is no program 'no-such-program' that can be run"),
        ({"command": ["./handlers.py"]}, "command: there is no program './handlers.py' that can be run"),
        ({"working_directory": "/no/such/folder"}, "working_directory: there is no folder /no/such/folder"),
    ],
)
async def test_what_cannot_be_started_at_all_is_told_when_it_is_opened(options: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        async with opened(**options):
            pass


async def test_signals_for_everybody_do_not_reach_a_worker() -> None:
    """A terminal's Ctrl-C and a supervisor's SIGTERM go to the engine's group, and the engine drains first."""
    others = set(psutil.Process().children())
    async with opened(workers=2) as target:
        worker = psutil.Process(await pid_of(target))
        family = set(psutil.Process().children()) - others
        assert worker in family
        assert len(family) == 3  # two workers and their keeper
        assert all(os.getpgid(process.pid) == process.pid for process in family)
        assert all(os.getsid(process.pid) == process.pid for process in family)


async def test_a_worker_that_does_not_heed_the_end_is_killed_when_the_target_closes(tmp_path: Path) -> None:
    script = f"trap '' TERM; echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 600"
    async with opened(("/bin/sh", "-c", script)):
        await until((tmp_path / "pid").exists)
    assert not alive(int((tmp_path / "pid").read_text()))


STUBBORN = """
import http.client, os, pathlib, signal, sys, threading
told = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told.set())
pathlib.Path(sys.argv[1]).touch()
while not told.wait(0.01):
    pass
worker = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    worker.request(sys.argv[2], "/2018-06-01/runtime/" + sys.argv[3], body=b"{}")
    worker.getresponse().read()
"""


@pytest.mark.parametrize("says", [("GET", "invocation/next"), ("POST", "init/error")], ids=["asks", "complains"])
async def test_one_that_goes_on_when_told_to_end_is_killed_all_the_same(
    says: tuple[str, str], tmp_path: Path
) -> None:
    """It may have been starting, and take the signal for a chance to be graceful."""
    started = tmp_path / "started"
    async with asyncio.timeout(PATIENCE), opened((sys.executable, "-c", STUBBORN, str(started), *says)):
        await until(started.exists)


async def test_closing_in_the_middle_of_an_invocation_leaves_nobody(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        async with opened() as target:
            running = group.create_task(target.invoke(call(do="family", pid_file=str(tmp_path / "pids"))))
            await until((tmp_path / "pids").exists)
        family = json.loads((tmp_path / "pids").read_text())
        assert not any(alive(pid) for pid in family[:1])
        await until(lambda: not any(alive(pid) for pid in family))
        reply = await running
    assert isinstance(reply, Errored)
    assert reply.message.startswith("Runtime.ExitError: ")


ENGINE = """
import asyncio, sys
from esm.model import Invocation
from esm.plugins import TargetContext
from esm.targets.runtime import RuntimeOptions, open_runtime

async def main():
    command = (sys.executable, "-m", "awslambdaric", "lambda_handlers.handler")
    options = RuntimeOptions(command=command, working_directory=sys.argv[1], workers=2)
    async with open_runtime(options, TargetContext("t", {})) as target:
        await target.invoke(Invocation(sys.argv[2].encode(), "m", "b", 1, "k"))

asyncio.run(main())
"""


async def test_no_process_outlives_an_engine_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text(ENGINE)
    event = call(do="family", pid_file=str(tmp_path / "pids")).payload.decode()
    engine = await asyncio.create_subprocess_exec(sys.executable, str(tmp_path / "engine.py"), FUNCTIONS, event)
    try:
        await until((tmp_path / "pids").exists)
        family = psutil.Process(engine.pid).children(recursive=True)
        assert set(json.loads((tmp_path / "pids").read_text())) <= {process.pid for process in family}
    finally:
        engine.kill()
        await engine.wait()
    await until(lambda: not any(alive(process.pid) for process in family))


async def test_the_keeper_is_told_who_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would kill whoever has that number by then."""
    noted: list[tuple[str, int]] = []
    monkeypatch.setattr(Keeper, "note", lambda _, sign, group: noted.append((sign, group)))
    async with opened() as target:
        ended = await pid_of(target)
        await target.invoke(call(do="exit"))
        await until(lambda: ("-", ended) in noted)
        running = await pid_of(target)
    assert noted == [("+", ended), ("-", ended), ("+", running), ("-", running)]


async def test_a_thousand_quick_invocations(record_property: Callable[[str, object], None]) -> None:
    async with opened(workers=2) as target:
        await pid_of(target)
        began, spent = time.monotonic(), time.process_time()
        for n in range(0, 1000, 2):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(target.invoke(call(do="answer", answer=n + more))) for more in (0, 1)]
            replies = [task.result() for task in tasks]
            assert [isinstance(reply, Returned) and json.loads(reply.payload) for reply in replies] == [n, n + 1]
        record_property("invocations per second", round(1000 / (time.monotonic() - began)))
        record_property("CPU of the engine, µs each", round((time.process_time() - spent) * 1000))


def test_calls_at_once_are_as_many_as_workers_unless_others_may_join() -> None:
    assert PLUGIN.slots(RuntimeOptions(command=CLIENT, workers=4)) == 4
    assert PLUGIN.slots(RuntimeOptions(command=CLIENT)) == 1
    assert PLUGIN.slots(RuntimeOptions(command=CLIENT, listen="127.0.0.1:1")) is None


async def test_lines_are_told_whole_bounded_and_as_text() -> None:
    lines: list[str] = []
    output = Output(lines.append)
    os.write(output.writing, b"one\ntw")
    os.write(output.writing, b"o\r three\n\n\xff\n" + b"x" * 10_000 + b"\nlast")
    assert output.tail().endswith("x\nlast")
    assert len(output.tail()) == 4096
    output.started()
    await until(lambda: "last" in lines)
    output.close()
    assert lines[:4] == ["one", "two", " three", "\ufffd"]
    assert [len(line) for line in lines[4:-1]] == [4096]
    output.forget()
    assert output.tail() == ""
