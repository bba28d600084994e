"""Keeps running tasks equal to wanted keys: first for mappings, then for the lanes inside a mapping.

Nothing that runs is ever changed: a key whose value changed is stopped, drained and started anew. The fault
barrier is here too, one per key: an error becomes a report, a pause and another try of that key alone, so that
a sick lane never cancels its siblings.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from esm.core.backoff import Backoff, Failures
from esm.core.reconcile import difference
from esm.runtime.signals import Stop, apart, heed_cancel
from esm.runtime.world import World

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Run = Callable[[K, V, Stop], Coroutine[Any, Any, None]]

_CALM = 60.0
_BACKOFF = Backoff(base=1.0, cap=300.0)


@dataclass(frozen=True, slots=True)
class Barrier:
    """What becomes of an error: `report(key, error, pause)` is told, and after the pause the key runs again."""

    report: Callable[[Hashable, BaseException, float], None]
    world: World

    async def run(self, key: K, value: V, run: Run[K, V], stop: Stop) -> None:
        """Runs `run` until it ends by itself or the stop comes, however often it fails before."""
        failures = Failures()
        while not stop.is_set():
            heed_cancel()
            started = self.world.monotonic()
            try:
                await apart(run(key, value, stop))
            except Exception as error:  # noqa: BLE001 -- this is the barrier
                if self.world.monotonic() - started > _CALM:
                    failures.over()
                pause = failures.another(_BACKOFF, self.world.chance())
                self.report(key, first_of(error), pause)
                await stop.within(pause)
            else:
                return


@dataclass(frozen=True, slots=True)
class _Running(Generic[V]):
    value: V
    stop: Stop
    task: asyncio.Task[None]


async def follow(
    wanted: AsyncIterator[Mapping[K, V]],
    run: Run[K, V],
    *,
    stop: Stop,
    barrier: Barrier,
) -> None:
    """Runs `run(key, value, stop)` for every wanted key, until the stop; returns when all have ended.

    Takes the next wanted set only when the last one is applied and what left it is drained.
    """
    running: dict[K, _Running[V]] = {}
    async with asyncio.TaskGroup() as tasks:
        async for want in _until(stop, wanted):
            change = difference({key: each.value for key, each in running.items()}, want)
            leaving = [running.pop(key) for key in list(running) if key in change.stop]
            _stop_all(leaving)
            withdraw = stop.then(lambda: _stop_all(running.values()))
            for each in leaving:
                await asyncio.wait([each.task])
            withdraw()
            if stop.is_set():
                break
            for key in (key for key in want if key in change.start):  # in their order: a set has none
                own = Stop()
                task = tasks.create_task(barrier.run(key, want[key], run, own))
                running[key] = _Running(want[key], own, task)
        await stop.wait()
        _stop_all(running.values())


def _stop_all(running: Iterable[_Running[Any]]) -> None:
    for each in running:
        each.stop.set()


def first_of(error: BaseException) -> BaseException:
    """The error that came first, out of the groups that structured concurrency wraps it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _until(stop: Stop, wanted: AsyncIterator[Mapping[K, V]]) -> AsyncIterator[Mapping[K, V]]:
    """The sets of `wanted` until the stop; the one that is waited for is given up then."""
    while not stop.is_set():
        try:
            async with stop.limit(None):
                want = await anext(wanted)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if stop.is_set():
                return
            raise
        yield want
