"""The Python target: coroutines run in the engine's own loop, plain functions in worker processes."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager

from pebble import ProcessExpired

from esm.model import Errored, Invocation, Outcome, Refused, Reply
from esm.plugins import TargetContext
from esm.ports import Target
from esm.targets.local_function import Identity, ended
from esm.targets.python import worker
from esm.targets.python.context import Context
from esm.targets.python.handler import Handler, load, raised, returned, timed_out
from esm.targets.python.options import PythonOptions
from esm.targets.python.pool import WorkerPool

_LONGEST_IMPORT = 60.0
_NOWHERE = "local"  # stands in an ARN for the region


class ProcessTarget:
    """A synchronous handler. A crash of its process is an error of the function, and the pool goes on."""

    def __init__(self, pool: WorkerPool, identity: Identity, timeout: float) -> None:
        self._pool = pool
        self._identity = identity
        self._timeout = timeout

    async def invoke(self, call: Invocation) -> Reply:
        arguments = (call.payload, self._identity, _request_id(call), self._timeout)
        try:
            reply: Reply = await self._pool.call(worker.call, *arguments, timeout=self._timeout)
        except TimeoutError:
            return timed_out(self._timeout)
        except ProcessExpired as death:
            return Errored(Outcome.FUNCTION_ERROR, f"Runtime.ExitError: {ended(death.exitcode)}")
        except BrokenProcessPool as error:
            return Refused(Outcome.UNREACHABLE, f"no worker process: {error}")
        return reply


class CoroutineTarget:
    """An asynchronous handler. It shares the engine's loop, so it must not block, nor outwait a cancellation."""

    def __init__(self, handler: Handler, identity: Identity, timeout: float) -> None:
        self._handler = handler
        self._identity = identity
        self._timeout = timeout

    async def invoke(self, call: Invocation) -> Reply:
        context = Context(self._identity, _request_id(call), self._timeout)
        clock = asyncio.timeout(self._timeout)
        try:
            async with clock:
                result = await self._handler(json.loads(call.payload), context)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                raise
            return timed_out(self._timeout) if clock.expired() else raised(error)
        return returned(result)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _request_id(call: Invocation) -> str:
    return f"{call.batch_id}-{call.attempt}"


@asynccontextmanager
async def open_python(options: PythonOptions, context: TargetContext) -> AsyncIterator[Target]:
    """Raises ValueError if the handler cannot be imported or called.

    It is tried in a worker first, so a module that crashes or hangs while it is imported harms nothing else.
    """
    path = _place(options)
    identity = Identity(context.name, context.aws.get("region") or _NOWHERE)
    pool = WorkerPool(options.workers or _cores(), worker.prepare, options.handler, path)
    try:
        await pool.start()
        if not await _is_async(pool, options.handler):
            yield ProcessTarget(pool, identity, options.timeout)
            return
    finally:
        await pool.close()
    yield CoroutineTarget(load(options.handler, path), identity, options.timeout)


async def _is_async(pool: WorkerPool, address: str) -> bool:
    try:
        async with asyncio.timeout(_LONGEST_IMPORT):
            problem, asynchronous = await pool.call(worker.examine, timeout=_LONGEST_IMPORT)
    except TimeoutError:
        raise ValueError(f"importing {address!r} takes longer than {_LONGEST_IMPORT:g} s") from None
    except (BrokenProcessPool, ProcessExpired):
        raise ValueError(f"importing {address!r} ends the process") from None
    if problem:
        raise ValueError(problem)
    return bool(asynchronous)


def _place(options: PythonOptions) -> str:
    return os.path.realpath(options.path or ".")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
