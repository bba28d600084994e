"""A real thread beside the virtual-time loop, one of them running at a time.

The thread runs only while the loop waits for it, and stops wherever it waits, calls a client or tells the loop
something. When it goes on is drawn like everything else, so a history is the same every time.
"""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import patch

from esm.sources.kafka import membership, poller
from esm.testing.group.source import Process


class Killed(BaseException):
    """The process is gone, and the thread with it. No Exception, so that nothing in it goes on."""


class Turns:
    """Of one thread. `busy` is how likely it is interrupted between two of its steps."""

    current: "Turns"
    """Whose thread it is that runs, or is being made."""

    history: ClassVar["asyncio.Task[Any] | None"]
    failures: ClassVar[list[BaseException]] = []
    """What nobody else is told of."""

    def __init__(self, chance: random.Random, process: Process, busy: float) -> None:
        self.killed = False
        self._loop = asyncio.get_running_loop()
        self._chance = chance
        self.process = process
        self._busy = busy
        self._thread: threading.Thread | None = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._due: asyncio.TimerHandle | None = None
        self._awaited: VirtualEvent | None = None

    def start(self, run: Callable[[], None]) -> None:
        """In the loop."""

        def turn() -> None:
            self._go.acquire()
            with suppress(Killed), self._noting():
                run()
            self._thread = None
            self._back.release()

        self._thread = threading.Thread(target=turn, daemon=True)
        self._thread.start()
        self._due = self._loop.call_later(self._moment(), self._step)

    def kill(self) -> None:
        """In the loop: the thread ends where it stands."""
        self.killed = True
        self._step()

    def is_mine(self) -> bool:
        """Whether it is the thread that asks."""
        return threading.current_thread() is self._thread

    def later(self, seconds: float, what: Callable[..., object], *given: Any) -> None:
        """In the loop, whether the process still runs then or not."""

        def act() -> None:
            with self._noting():
                what(*given)

        self._loop.call_later(seconds, act)

    def interrupted(self) -> None:
        """Anything may happen here, or nothing; in the loop, nothing."""
        if self.is_mine() and self._chance.random() < self._busy:
            self.pause(self._moment())

    def pause(self, seconds: float, awaited: "VirtualEvent | None" = None) -> None:
        """In the thread: the loop goes on for that long, or until what is awaited."""
        if self.killed:
            raise Killed
        self._awaited = awaited
        self._due = self._loop.call_later(max(seconds, 0.0), self._step)
        self._back.release()
        self._go.acquire()
        if self.killed:
            raise Killed

    def rung(self, event: "VirtualEvent") -> None:
        """Something may be awaited."""
        if self._awaited is event and self._due is not None:
            self._awaited = None
            self._due.cancel()
            self._due = self._loop.call_later(self._moment(), self._step)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except Killed:
            raise
        except BaseException as error:  # noqa: BLE001 -- it ends the history, from whose task it is raised
            Turns.failures.append(error)
            if Turns.history is not None:
                self._loop.call_soon(Turns.history.cancel)

    def _step(self) -> None:
        if self._due is not None:
            self._due.cancel()
        if self._thread is None:
            return
        if not self.killed and not self.process.runs:
            self._due = self._loop.call_later(0.5, self._step)
            return
        self._awaited = self._due = None
        Turns.current = self
        self._go.release()
        self._back.acquire()

    def _moment(self) -> float:
        return self._chance.choice([0.0, 0.0, 0.003, 0.05, 0.4]) * self._chance.random()


class VirtualEvent:
    """Stands for `threading.Event`."""

    def __init__(self) -> None:
        self._turns = Turns.current
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        self._turns.rung(self)

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        self._turns.interrupted()
        return self._is_set

    def wait(self, timeout: float) -> bool:
        if not self._is_set:
            self._turns.pause(timeout, self)
        return self._is_set


class VirtualThread:
    """Stands for `threading.Thread`."""

    def __init__(self, target: Callable[[], None], **_: Any) -> None:
        self._target = target

    def start(self) -> None:
        Turns.current.start(self._target)


@contextmanager
def in_turns() -> Iterator[None]:
    """The thread of a consumer runs in turns; it polls less often than it would, which saves steps."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(poller, "threading", SimpleNamespace(Event=VirtualEvent)))
        stack.enter_context(patch.object(membership, "threading", SimpleNamespace(Thread=VirtualThread)))
        stack.enter_context(patch.multiple(poller, _BUSY=0.1, _IDLE=1.0))
        Turns.failures.clear()
        Turns.history = asyncio.current_task()
        try:
            yield
        finally:
            for error in Turns.failures:
                raise error
