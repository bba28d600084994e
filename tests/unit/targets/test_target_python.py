"""The Python target: what handlers may do to it, and what they are told."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from pydantic import ValidationError

from esm.model import Errored, Invocation, Outcome, Reply, Returned
from esm.plugins import TargetContext
from esm.ports import Target
from esm.targets.python import PLUGIN, PythonOptions, open_python
from esm.targets.python.handler import raised

FUNCTIONS = str(Path(__file__).parents[2] / "functions")
FUNCTION_ERROR = Outcome.FUNCTION_ERROR
PATIENCE = 20.0


def opened(handler: str, **options: Any) -> AbstractAsyncContextManager[Target]:
    given = {"handler": handler, "path": FUNCTIONS, "workers": 1, "timeout": PATIENCE, **options}
    return open_python(PythonOptions.model_validate(given), TargetContext("billing", {"region": "eu-west-1"}))


def call(**event: Any) -> Invocation:
    return Invocation(json.dumps(event).encode(), "orders", "batch-7", 2, "k")


@pytest.fixture
async def obeying() -> AsyncIterator[Target]:
    async with opened("handlers:obey", timeout=PATIENCE) as target:
        yield target


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - of processes, nobody tells
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def number_in(file: Path) -> int:
    return int(file.read_text() or 0) if file.exists() else 0


BEHAVIOURS: list[tuple[str, Reply]] = [
    ("exit", Errored(FUNCTION_ERROR, "Runtime.ExitError: the function's process ended with exit code 7")),
    (
        "segfault",
        Errored(FUNCTION_ERROR, "Runtime.ExitError: the function's process was ended by Segmentation fault"),
    ),
    ("decimals", Returned(b"[3, 1.5]")),
    ("print", Returned(b'"printed"')),
    ("close_output", Returned(b'"closed"')),
]


@pytest.mark.parametrize(("order", "reply"), BEHAVIOURS, ids=[order for order, _ in BEHAVIOURS])
async def test_what_a_function_does_is_a_reply_and_the_next_call_works(
    order: str, reply: Reply, obeying: Target
) -> None:
    assert await obeying.invoke(call(do=order)) == reply
    assert isinstance(await obeying.invoke(call(do="pid")), Returned)


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("system_exit", "SystemExit: 3 (handlers.py:"),
        ("interrupt", "KeyboardInterrupt (handlers.py:"),
        ("unserializable", "Runtime.MarshalError: unable to marshal response: Object of type object"),
        ("circular", "Runtime.MarshalError: unable to marshal response: Circular"),
        ("unprintable", "_Unprintable (handlers.py:"),
        ("long_text", "ValueError: xxxx"),
        ("no such order", "KeyError: 'no such order' (handlers.py:"),
    ],
)
async def test_an_error_names_itself_and_its_place(order: str, says: str, obeying: Target) -> None:
    reply = await obeying.invoke(call(do=order))
    assert isinstance(reply, Errored)
    assert reply.outcome is FUNCTION_ERROR
    assert reply.message.startswith(says)
    assert len(reply.message) < 400


async def test_a_process_survives_ordinary_errors(obeying: Target) -> None:
    before = await obeying.invoke(call(do="pid"))
    for order in ("system_exit", "interrupt", "unserializable"):
        await obeying.invoke(call(do=order))
    assert await obeying.invoke(call(do="pid")) == before


async def test_a_timeout_ends_the_process(tmp_path: Path) -> None:
    async with opened("handlers:obey", timeout=0.5) as target:
        reply = await target.invoke(call(do="busy", pid_file=str(tmp_path / "pid")))
        assert reply == Errored(Outcome.TIMEOUT, "Task timed out after 0.50 seconds")
        await until(lambda: not alive(number_in(tmp_path / "pid")))
        assert isinstance(await target.invoke(call(do="pid")), Returned)


async def test_a_timeout_ends_what_the_function_started(tmp_path: Path) -> None:
    async with opened("handlers:obey", timeout=0.5) as target:
        reply = await target.invoke(call(do="child", pid_file=str(tmp_path / "pid")))
        assert isinstance(reply, Errored)
        assert reply.outcome is Outcome.TIMEOUT
        await until(lambda: not alive(number_in(tmp_path / "pid")))


async def test_waiting_for_a_free_worker_is_not_the_functions_time() -> None:
    async with opened("handlers:obey", timeout=1.5) as target:
        replies = await asyncio.gather(*[target.invoke(call(do="sleep", seconds=0.6)) for _ in range(4)])
    assert all(isinstance(reply, Returned) for reply in replies), replies


async def test_workers_run_at_the_same_time(tmp_path: Path) -> None:
    async with opened("handlers:scripted", workers=2) as target:
        meet = call(do="meet", at=str(tmp_path), party=2)
        replies = await asyncio.gather(*[target.invoke(meet) for _ in range(2)])
    assert replies == [Returned(b"2")] * 2


async def test_a_worker_that_dies_while_idle_is_replaced(obeying: Target) -> None:
    first = await obeying.invoke(call(do="die_when_idle", seconds=0.01))
    assert isinstance(first, Returned)
    await until(lambda: not alive(int(first.payload)))
    replies = await asyncio.gather(*[obeying.invoke(call(do="pid")) for _ in range(10)])
    assert all(isinstance(reply, Returned) and reply != first for reply in replies), replies


async def test_cancelling_a_call_ends_its_process(tmp_path: Path, obeying: Target) -> None:
    async with asyncio.TaskGroup() as group:
        abandoned = group.create_task(obeying.invoke(call(do="busy", pid_file=str(tmp_path / "pid"))))
        await until(lambda: number_in(tmp_path / "pid"))
        abandoned.cancel()
    await until(lambda: not alive(number_in(tmp_path / "pid")))
    assert isinstance(await obeying.invoke(call(do="pid")), Returned)


async def test_closing_ends_every_process(tmp_path: Path) -> None:
    async with opened("handlers:obey", workers=2) as target:
        reply = await target.invoke(call(do="pid"))
        async with asyncio.TaskGroup() as group:
            stuck = group.create_task(target.invoke(call(do="busy", pid_file=str(tmp_path / "pid"))))
            await until(lambda: number_in(tmp_path / "pid"))
            stuck.cancel()
    assert isinstance(reply, Returned)
    await until(lambda: not alive(int(reply.payload)) and not alive(number_in(tmp_path / "pid")))


async def test_signals_for_everybody_do_not_reach_a_function() -> None:
    """A terminal's Ctrl-C and a supervisor's SIGTERM are for the engine, which drains first."""
    async with opened("handlers:obey") as target:
        first = await target.invoke(call(do="pid"))
        assert isinstance(first, Returned)
        pid = int(first.payload)
        assert os.getpgid(pid) != os.getpgid(0)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(target.invoke(call(do="sleep", seconds=0.3)))
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(pid, number)
                os.kill(psutil.Process(pid).ppid(), number)
        assert running.result() == first


ENGINE = """
import asyncio, sys
from esm.model import Invocation
from esm.plugins import TargetContext
from esm.targets.python import PythonOptions, open_python

async def main():
    options = PythonOptions(handler="handlers:obey", path=sys.argv[1], workers=2)
    async with open_python(options, TargetContext("t", {})) as target:
        await target.invoke(Invocation(sys.argv[2].encode(), "m", "b", 1, "k"))

if __name__ == "__main__":
    asyncio.run(main())
"""


async def engine_of_its_own(place: Path, call: Invocation) -> asyncio.subprocess.Process:
    """A process that opens the target, makes this call, and ends."""
    (place / "engine.py").write_text(ENGINE)
    arguments = [sys.executable, str(place / "engine.py"), FUNCTIONS, call.payload.decode()]
    return await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)


async def test_no_process_outlives_an_engine_that_was_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    engine = await engine_of_its_own(tmp_path, call(do="busy", pid_file=str(pid_file)))
    try:
        await until(lambda: number_in(pid_file))
        family = psutil.Process(engine.pid).children(recursive=True)
        assert number_in(pid_file) in {process.pid for process in family}
    finally:
        engine.kill()
        await engine.wait()
    await until(lambda: not any(alive(process.pid) for process in family))


WRONG = [
    ("handlers:obeyy", "module 'handlers' has no 'obeyy'; did you mean 'obey'?"),
    ("handlers:xyz", "module 'handlers' has no 'xyz'"),
    ("handlers:NOT_CALLABLE", "'handlers:NOT_CALLABLE' is a int, which cannot be called"),
    ("no_such_module:x", "no module 'no_such_module'"),
    ("handlers.inner:x", "no module 'handlers.inner'"),
    ("needs_missing:x", "cannot import 'needs_missing': ModuleNotFoundError: No module named"),
    ("raises_on_import:x", "cannot import 'raises_on_import': SystemExit: not today"),
    ("exits_on_import:x", "importing 'exits_on_import:x' ends the process"),
]


@pytest.mark.parametrize(("handler", "says"), WRONG, ids=[handler for handler, _ in WRONG])
async def test_a_handler_that_cannot_be_called_is_told_when_it_is_opened(handler: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        async with opened(handler):
            pass


@pytest.mark.parametrize(
    "handler", ["handlers", "handlers:", ":obey", "a b:c", "handlers.obey", "a:b:c", "../x:y", ""]
)
def test_an_address_has_two_parts(handler: str) -> None:
    with pytest.raises(ValidationError, match=r"write package\.module:function"):
        PythonOptions(handler=handler)


def test_a_line_alone_is_a_python_target() -> None:
    assert PLUGIN.parse("python:package.module:handler") == {"handler": "package.module:handler"}
    assert PLUGIN.parse("http://python:1/") is None


@pytest.mark.parametrize("function", ["describe_context", "describe_context_async"])
async def test_the_context_is_lambdas(function: str) -> None:
    async with opened(f"handlers:{function}") as target:
        reply = await target.invoke(call())
    assert isinstance(reply, Returned)
    told = json.loads(reply.payload)
    assert 0 < told.pop("left") <= PATIENCE * 1000
    assert told.pop("memory") > 0
    assert (told.pop("pid") == os.getpid()) == (function == "describe_context_async")
    assert told == {
        "request": "batch-7-2",
        "name": "billing",
        "arn": "arn:aws:lambda:eu-west-1:000000000000:function:billing",
    }


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("cancel_itself", "CancelledError (handlers.py:"),
        ("own_timeout", "TimeoutError: its own (handlers.py:"),
        ("own_group", "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception) (taskgroups.py:"),
        ("system_exit", "SystemExit: 3 (handlers.py:"),
        ("unserializable", "Runtime.MarshalError: "),
    ],
)
async def test_what_a_coroutine_does_is_a_reply(order: str, says: str) -> None:
    async with opened("handlers:obey_async") as target:
        reply = await target.invoke(call(do=order))
        assert isinstance(reply, Errored)
        assert reply.outcome is FUNCTION_ERROR
        assert reply.message.startswith(says)
        assert await target.invoke(call(do="anything")) == Returned(b'"done"')


async def test_handlers_may_be_objects_and_methods() -> None:
    async with opened("handlers:callable_object") as target:
        assert await target.invoke(call()) == Returned(b'"from an object"')
    async with opened("handlers:callable_object.method") as target:
        assert await target.invoke(call()) == Returned(b'"from a method"')


async def test_what_a_function_prints_stays_off_the_engines_output(tmp_path: Path) -> None:
    engine = await engine_of_its_own(tmp_path, call(do="print"))
    output, _ = await engine.communicate()
    assert engine.returncode == 0
    assert output == b""


def test_the_traceback_of_what_a_function_raises_is_on_its_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(KeyError) as caught:
        json.loads("{}")["id"]
    assert isinstance(raised(caught.value), Errored)
    shown = capsys.readouterr()
    assert "Traceback (most recent call last)" in shown.err
    assert not shown.out
