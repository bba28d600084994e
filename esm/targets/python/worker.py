"""What runs in a worker process: it loads the handler once, then calls it with one event after another.

A worker belongs to its engine alone. It does not hear the signals that a terminal or a supervisor sends to
everybody, because the engine drains first; and it ends with the engine, however that ended.
"""

import asyncio
import inspect
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Awaitable
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from esm.model import Reply
from esm.targets.local_function import Identity
from esm.targets.python.context import Context
from esm.targets.python.handler import Handler, is_async, load, raised, returned

_loaded: Handler | ValueError = ValueError("nothing was loaded")


def prepare(address: str, path: str) -> None:
    """First thing in every worker. Keeps a failure for `examine`: a worker that ends would be started again."""
    global _loaded  # noqa: PLW0603 - a process serves one handler, and this is where it is
    _stand_apart()
    try:
        _loaded = load(address, path)
    except ValueError as error:
        _loaded = error


def _stand_apart() -> None:
    with suppress(OSError):
        os.setpgid(0, 0)  # whatever the function starts can be ended together with it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)  # not SIG_IGN, which the programs a function starts would inherit
    os.dup2(2, 1)  # the engine's standard output is not for what functions print
    threading.Thread(target=_follow_engine, daemon=True).start()


def _ignore(*_: object) -> None:
    pass


def _follow_engine() -> None:
    engine = multiprocessing.parent_process()
    if engine is not None:
        wait([engine.sentinel])
        os.killpg(0, signal.SIGKILL)


def examine() -> tuple[str, bool]:
    """What is wrong with the handler, or an empty text; and whether it is asynchronous."""
    if isinstance(_loaded, ValueError):
        return str(_loaded), False
    return "", is_async(_loaded)


def call(payload: bytes, identity: Identity, request_id: str, timeout: float) -> Reply:
    """One invocation; `timeout` (seconds) is only told here, the pool enforces it."""
    if isinstance(_loaded, ValueError):
        return raised(_loaded)
    try:
        result = _loaded(json.loads(payload), Context(identity, request_id, timeout))
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
    except BaseException as error:  # noqa: BLE001 - SystemExit too is an error of the function
        return raised(error)
    return returned(result)


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result
