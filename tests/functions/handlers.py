"""Functions that the tests of the Python target call, the well-behaved and the others."""

import asyncio
import ctypes
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

NOT_CALLABLE = 7
Event = dict[str, Any]


def scripted(event: Event, context: Any) -> Any:
    """Does what the event says (see `esm.testing.target_suite`)."""
    match event["do"]:
        case "answer":
            return event["answer"]
        case "raise":
            raise RuntimeError(event["text"])
        case "hang":
            while True:
                time.sleep(0.05)
        case "meet":
            _meet(Path(event["at"]), event["party"])
            return event["party"]
    return None


async def scripted_async(event: Event, context: Any) -> Any:
    match event["do"]:
        case "answer":
            await asyncio.sleep(0)
            return event["answer"]
        case "raise":
            raise RuntimeError(event["text"])
        case "hang":
            await asyncio.Event().wait()
    return None


def _meet(place: Path, party: int) -> None:
    (place / str(os.getpid())).touch()
    while len(list(place.iterdir())) < party:
        time.sleep(0.01)


def describe_context(_: Event, context: Any) -> Any:
    return {
        "request": context.aws_request_id,
        "name": context.function_name,
        "arn": context.invoked_function_arn,
        "left": context.get_remaining_time_in_millis(),
        "memory": context.memory_limit_in_mb,
        "pid": os.getpid(),
    }


async def describe_context_async(event: Event, context: Any) -> Any:
    return describe_context(event, context)


def wrapped(event: Event, context: Any) -> Any:
    """A plain function whose result is awaitable, as decorators make them."""
    return scripted_async(event, context)


def obey(event: Event, _: Any) -> Any:
    return _ORDERS[event["do"]](event)


def _exit(_: Event) -> Any:
    os._exit(7)


def _segfault(_: Event) -> Any:
    ctypes.string_at(0)


def _system_exit(_: Event) -> Any:
    sys.exit(3)


def _interrupt(_: Event) -> Any:
    raise KeyboardInterrupt


def _unserializable(_: Event) -> Any:
    return {"when": object()}


def _circular(_: Event) -> Any:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def _decimals(_: Event) -> Any:
    return [Decimal(3), Decimal("1.5")]


def _print(_: Event) -> Any:
    print("to standard output", flush=True)
    print("to standard error", file=sys.stderr, flush=True)
    os.write(1, b"\x00\xff past sys.stdout\n")
    return "printed"


def _close_output(_: Event) -> Any:
    sys.stdout.close()
    return "closed"


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError


def _unprintable(_: Event) -> Any:
    raise _Unprintable


def _long_text(_: Event) -> Any:
    raise ValueError("x" * 10_000 + "\nsecond line")


def _busy(event: Event) -> Any:
    """Never gives up the interpreter's attention, and leaves its process id behind."""
    Path(event["pid_file"]).write_text(str(os.getpid()))
    while True:
        pass


def _child(event: Event) -> Any:
    """Starts a program and waits for it."""
    with subprocess.Popen(["/bin/sleep", "600"]) as child:
        Path(event["pid_file"]).write_text(str(child.pid))
        child.wait()


def _sleep(event: Event) -> Any:
    time.sleep(event["seconds"])
    return os.getpid()


def _pid(_: Event) -> Any:
    return os.getpid()


def _reply_later_then_die(event: Event) -> Any:
    """Answers, and its process dies when it is idle again."""
    import threading

    threading.Timer(event["seconds"], lambda: os._exit(9)).start()
    return os.getpid()


_ORDERS = {
    "exit": _exit,
    "segfault": _segfault,
    "system_exit": _system_exit,
    "interrupt": _interrupt,
    "unserializable": _unserializable,
    "circular": _circular,
    "decimals": _decimals,
    "print": _print,
    "close_output": _close_output,
    "unprintable": _unprintable,
    "long_text": _long_text,
    "busy": _busy,
    "child": _child,
    "sleep": _sleep,
    "pid": _pid,
    "die_when_idle": _reply_later_then_die,
}


async def own_failure() -> None:
    await asyncio.sleep(0)
    raise KeyError("its own")


async def obey_async(event: Event, _: Any) -> Any:
    match event["do"]:
        case "cancel_itself":
            raise asyncio.CancelledError
        case "own_timeout":
            raise TimeoutError("its own")
        case "own_group":
            async with asyncio.TaskGroup() as group:
                group.create_task(own_failure())
        case "system_exit":
            sys.exit(3)
        case "unserializable":
            return object()
    return await asyncio.sleep(0, "done")


class Callable:
    async def __call__(self, event: Event, context: Any) -> Any:
        return await asyncio.sleep(0, "from an object")

    def method(self, event: Event, context: Any) -> Any:
        return "from a method"


callable_object = Callable()
