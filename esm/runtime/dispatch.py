"""Who may call the target, and how many at once.

A `SharedTarget` is one target with the slots that all mappings naming it share, handed out in turn between the
mappings. A `Dispatcher` is one mapping's way to it: its own slots, whose number follows backlog and health, and
what the last answers mean for reading on.
"""

import asyncio
from collections import deque

from esm.core import concurrency
from esm.model import Errored, Invocation, Outcome, Refused, Reply
from esm.ports import Target
from esm.runtime.plan import QueueOptions
from esm.runtime.signals import Stop
from esm.runtime.world import World


class SharedTarget:
    """A target and its `reserved_concurrency`; None means no cap, 0 that it is switched off."""

    def __init__(self, target: Target, cap: int | None) -> None:
        self.target = target
        self.closed = cap == 0
        self._free = cap
        self._waiting: dict[str, deque[asyncio.Future[bool]]] = {}

    async def acquire(self, mapping: str, stop: Stop, within: float) -> bool:
        """Waits for a slot; False if the stop or the time limit (seconds) came first."""
        if self._free is None:
            return True
        if self._free:
            self._free -= 1
            return True
        ticket: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(mapping, deque()).append(ticket)

        def give_up() -> None:
            if not ticket.done():
                ticket.set_result(False)

        withdraw = stop.then(give_up)
        granted = False
        try:
            async with asyncio.timeout(within):
                granted = await ticket
        except TimeoutError:
            pass
        finally:
            withdraw()
            if not granted and ticket.done() and not ticket.cancelled() and ticket.result():
                self.release()
        return granted

    def release(self) -> None:
        """Gives a slot to the mapping whose turn it is, or back."""
        if self._free is None:
            return
        while self._waiting:
            mapping, tickets = next(iter(self._waiting.items()))
            del self._waiting[mapping]
            ticket = tickets.popleft()
            if tickets:
                self._waiting[mapping] = tickets
            if not ticket.done():
                ticket.set_result(True)
                return
        self._free += 1


class Dispatcher:
    """One mapping's slots and invocations."""

    def __init__(self, mapping: str, shared: SharedTarget, options: QueueOptions, world: World) -> None:
        self._mapping = mapping
        self._shared = shared
        self._world = world
        self._scale = concurrency.scale_from(options.starts_at, options.concurrency, world.monotonic())
        self._health = concurrency.health_of(options.concurrency)
        self.in_flight = 0
        self.refused = False

    @property
    def limit(self) -> int:
        """Batches that may be in flight now."""
        return concurrency.effective(self._scale, self._health)

    @property
    def free(self) -> int:
        """Slots for another batch."""
        return 0 if self._shared.closed else max(0, self.limit - self.in_flight)

    @property
    def open(self) -> bool:
        """A batch that is due may be sent now; after a refusal one at a time finds out whether that is over."""
        return self.free > 0 and not (self.refused and self.in_flight > 0)

    def backlog(self, now: float, *, full: bool, all_taken: bool) -> None:
        """What a read says of the backlog moves the limit."""
        scale = self._scale
        self._scale = scale.busy(now, all_taken=all_taken) if full else scale.quiet(now)

    async def acquire(self, stop: Stop, within: float) -> bool:
        """A slot of the target, taken just before the invocation and never held over a pause."""
        return await self._shared.acquire(self._mapping, stop, within)

    async def invoke(self, call: Invocation) -> Reply:
        """Calls the target with a slot that was acquired, gives the slot back and learns from the answer."""
        started = self._world.monotonic()
        try:
            reply = await self._shared.target.invoke(call)
        except Exception as error:  # noqa: BLE001 -- a target that breaks its contract must not break the lane
            reply = Errored(Outcome.FUNCTION_ERROR, f"the target raised {type(error).__name__}: {error}")
        finally:
            self._shared.release()
        self._learn(reply, started)
        return reply

    def _learn(self, reply: Reply, started: float) -> None:
        self.refused = isinstance(reply, Refused)
        if isinstance(reply, Errored):
            self._health = self._health.failed(started, self._world.monotonic(), self.limit)
        elif not self.refused:
            self._health = self._health.succeeded()
