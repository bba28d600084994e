"""Worker processes that can be killed: a function that does not come back in time is ended, not abandoned."""

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from pebble import ProcessPool

_WORKER = "esm.targets.python.worker"
_STEADFAST = "esm.targets.python.steadfast"
_LOOK = 0.5


class _Worker(ForkServerProcess):
    """Ends at once and with all it started: a worker ignores the polite signal (see `worker`)."""

    def terminate(self) -> None:
        if self.pid is not None:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        self.kill()


class _Context(ForkServerContext):
    """Forking from a small server is safe beside the engine's threads, and fast when a worker is replaced."""

    Process = _Worker


class WorkerPool:
    """`workers` processes; each has run `prepare(*arguments)` before its first call."""

    def __init__(self, workers: int, prepare: Callable[..., None], *arguments: Any) -> None:
        self._workers = workers
        self._prepare = prepare
        self._arguments = arguments
        self._pool = self._new()

    async def start(self) -> None:
        """Starting processes blocks, so it happens in a thread, and before the first call."""
        await asyncio.to_thread(_is_up, self._pool)

    async def call(self, function: Callable[..., Any], *arguments: Any, timeout: float) -> Any:
        """The function's result. Waiting for a free worker does not count against `timeout` (seconds).

        Raises TimeoutError when it took longer (it was killed), `ProcessExpired` when its process died, and
        `BrokenProcessPool` when no worker can be had. Cancelling kills the worker that runs it.
        """
        pool = self._pool
        try:
            return await _call(pool, function, arguments, timeout)
        except BrokenProcessPool:
            await self._replace(pool)
            return await _call(self._pool, function, arguments, timeout)

    async def close(self) -> None:
        """Kills the workers, idle or not."""
        await asyncio.to_thread(_end, self._pool)

    async def _replace(self, broken: ProcessPool) -> None:
        """A worker that dies while all are idle takes its pool with it; nothing was running there."""
        if self._pool is broken:
            self._pool = self._new()
            await asyncio.to_thread(_end, broken)
        await self.start()

    def _new(self) -> ProcessPool:
        context = _Context()
        context.set_forkserver_preload([_STEADFAST, _WORKER])
        return ProcessPool(self._workers, initializer=self._prepare, initargs=self._arguments, context=context)


async def _call(
    pool: ProcessPool, function: Callable[..., Any], arguments: tuple[Any, ...], timeout: float
) -> Any:
    try:
        future = pool.schedule(function, arguments, timeout=timeout)
    except RuntimeError as error:
        raise BrokenProcessPool(str(error)) from error
    answer = asyncio.wrap_future(future)
    try:
        while not answer.done():
            await asyncio.wait([answer], timeout=_LOOK)
            if not answer.done() and not pool.active:  # a pool that breaks forgets what it is given meanwhile
                raise BrokenProcessPool("the pool broke before it took the call")
    finally:
        answer.cancel()
    return answer.result()


def _is_up(pool: ProcessPool) -> bool:
    """Asking whether a pool is active starts it."""
    return bool(pool.active)


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()
