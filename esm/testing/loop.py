"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else can run.

Hours pass in milliseconds and every run is the same. When nothing can run and no timer is set, nothing will
ever happen again: that is an error here instead of a hang.
"""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


_GRID = 2**20
"""Moments in a second; a power of two, so that sums and differences are exact."""


class NothingWillHappen(RuntimeError):
    """Every task waits for something that nothing is left to bring about."""


class _Jump(selectors.SelectSelector):
    """Never waits: a wait of n seconds moves the clock n seconds on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise NothingWillHappen("every task waits and no timer is set")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop; `time()` starts at 0."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """A moment on the grid: a timer that fired never leaves a rest too small for the clock to move by."""
        return super().call_at(math.ceil(when * _GRID) / _GRID, callback, *args, context=context)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` on a virtual-time loop of its own. Raises `NothingWillHappen` on a deadlock."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
