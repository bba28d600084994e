"""Where invocations and workers meet: each invocation waits for a worker, each worker for an invocation.

Both wait in the order they came. A worker is known by the place where it attached: the port of its own that
a worker of ours has, or the listener that all workers from outside share.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from esm.model import Reply


class Place(Protocol):
    """Where workers attach."""

    def attached(self) -> None:
        """A worker asks for an invocation."""

    def answered(self) -> None:
        """A worker ended an invocation, well or not."""

    def broken(self, why: str) -> None:
        """A worker says that it cannot be initialized."""

    def stranger(self) -> None:
        """Somebody asks at an address that is not that of the workers, or with a wrong secret."""

    def abandon(self) -> None:
        """The invocation that a worker here has is nobody's any more: it took too long or was cancelled."""

    def tail(self) -> str:
        """The last of what the worker printed; empty if that is not known."""


class Closed(Exception):
    """The target is being closed, or the worker is gone: there will be no further invocation."""


class Errand:
    """One invocation on its way. `taken` is done when a worker has it, `ending` when that is over."""

    __slots__ = ("ending", "id", "payload", "place", "taken", "wanted")

    def __init__(self, request_id: str, payload: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.id = request_id
        self.payload = payload
        self.wanted = True
        self.place: Place | None = None
        self.taken: asyncio.Future[None] = loop.create_future()
        self.ending: asyncio.Future[Reply] = loop.create_future()


class Desk:
    """`new_id` gives a request id that no other invocation has."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._errands: deque[Errand] = deque()
        self._polls: dict[asyncio.Future[Errand], Place] = {}  # in the order they came
        self._out: dict[str, Errand] = {}
        self._closed = False

    @property
    def waiting(self) -> int:
        """Workers that wait for an invocation."""
        return len(self._polls)

    def out(self, place: Place) -> int:
        """Invocations that workers of this place have."""
        return sum(errand.place is place for errand in self._out.values())

    def submit(self, payload: bytes) -> Errand:
        """A new errand at the end of the queue; to be dropped when it is over."""
        errand = Errand(self._new_id(), payload)
        self._errands.append(errand)
        self._match()
        return errand

    def drop(self, errand: Errand) -> None:
        """Nobody wants the answer any more; one that comes later finds no such invocation."""
        errand.wanted = False
        self._out.pop(errand.id, None)
        if not errand.taken.done() and errand in self._errands:
            self._errands.remove(errand)

    async def next(self, place: Place) -> Errand:
        """Waits for an errand, without end. Cancelling, because the worker hung up, leaves it to another.

        Raises Closed.
        """
        while True:
            errand = await self._poll(place)
            if errand.wanted:
                break
        errand.place = place
        self._out[errand.id] = errand
        errand.taken.set_result(None)
        return errand

    def holds(self, request_id: str, place: Place) -> bool:
        """True if a worker of this place has this invocation."""
        errand = self._out.get(request_id)
        return errand is not None and errand.place is place

    def end(self, request_id: str, place: Place, reply: Reply) -> bool:
        """The worker's answer; False if no worker of this place has such an invocation."""
        if not self.holds(request_id, place):
            return False
        self._out.pop(request_id).ending.set_result(reply)
        return True

    def lose(self, place: Place, reply: Callable[[str], Reply]) -> None:
        """The worker at this place is gone, and with it whatever it had; `reply` makes the ending for an id."""
        for errand in [errand for errand in self._out.values() if errand.place is place]:
            self.end(errand.id, place, reply(errand.id))

    def send_away(self, place: Place) -> None:
        """Whoever waits at this place gets nothing.

        A dead worker's question may outlive it: a process it left behind can hold the connection open.
        """
        self._end([poll for poll, where in self._polls.items() if where is place])

    def close(self) -> None:
        """Sends every waiting worker away."""
        self._closed = True
        self._end(list(self._polls))

    def _end(self, polls: Sequence[asyncio.Future[Errand]]) -> None:
        for poll in polls:
            del self._polls[poll]
            if not poll.done():
                poll.set_exception(Closed())

    async def _poll(self, place: Place) -> Errand:
        if self._closed:
            raise Closed
        poll: asyncio.Future[Errand] = asyncio.get_running_loop().create_future()
        self._polls[poll] = place
        self._match()
        try:
            return await poll
        except asyncio.CancelledError:
            self._withdraw(poll)
            raise

    def _withdraw(self, poll: asyncio.Future[Errand]) -> None:
        """The worker hung up. Was it given an errand in that very moment, it is the first in the queue again."""
        if not poll.cancelled() and poll.exception() is None:
            self._errands.appendleft(poll.result())
        else:
            self._polls.pop(poll, None)
        self._match()

    def _match(self) -> None:
        while self._errands and self._polls:
            poll = next(iter(self._polls))
            del self._polls[poll]
            if not poll.done():
                poll.set_result(self._errands.popleft())
