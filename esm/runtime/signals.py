"""The two signals of the loops: `Stop`, which comes once, and `Bell`, which wakes one loop to look again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


class Stop:
    """A request to finish: no new work, what is under way ends by itself."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Asks once; asking again changes nothing."""
        if not self._event.is_set():
            self._event.set()
            for callback in self._callbacks:
                callback()

    def is_set(self) -> bool:
        return self._event.is_set()

    def then(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` when the stop comes, now if it has come; returns how to withdraw it."""
        if self.is_set():
            callback()
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    async def wait(self) -> None:
        await self._event.wait()

    @asynccontextmanager
    async def limit(self, within: float | None) -> AsyncIterator[None]:
        """Ends what is inside when the stop comes or after `within` seconds: then raises TimeoutError."""
        async with asyncio.timeout(within) as patience:
            withdraw = self.then(lambda: hurry(patience))
            try:
                yield
            finally:
                withdraw()

    async def within(self, seconds: float) -> bool:
        """Waits `seconds`, or shorter if the stop comes; True if it came."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


def heed_cancel() -> None:
    """Raises CancelledError if this task is being cancelled and was not told: to be called before trying again.

    Where a cancellation meets a TaskGroup that has just failed, Python before 3.13 raises the failure alone. What
    was tried has to have been `apart`: there a group that fails while it waits leaves its own request behind.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def apart(tried: Coroutine[Any, Any, None]) -> None:
    """Runs it in a task of its own; what it raises comes in a group."""
    async with asyncio.TaskGroup() as tasks:
        await asyncio.wait([tasks.create_task(tried)])


def hurry(patience: asyncio.Timeout) -> None:
    """Lets a timeout run out now, unless it has already."""
    if not patience.expired():
        patience.reschedule(asyncio.get_running_loop().time())


class Bell:
    """Wakes the one loop that listens; rings that nobody heard yet count once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def heard(self, within: float | None = None) -> None:
        """Returns at the next ring, at once if it has rung, or after `within` seconds."""
        try:
            if within is None:
                await self._event.wait()
            else:
                async with asyncio.timeout(within):
                    await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
