"""Who may call the target, and how many at once.

A `SharedTarget` is one target with the slots that all mappings naming it share, handed out in turn between the
mappings. A `Dispatcher` is one mapping's way to it: its own slots, whose number follows backlog and health, and
what the last answers mean for reading on.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from esm.core import concurrency
from esm.model import Errored, Invocation, Outcome, Reply
from esm.ports import Pace, Target
from esm.runtime.plan import QueueOptions
from esm.runtime.signals import Stop
from esm.runtime.world import World

_REFUSALS = frozenset({Outcome.THROTTLED, Outcome.MISCONFIGURED, Outcome.UNREACHABLE})


class FairSlots:
    """So many slots, handed out in turn between the mappings that wait for one."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, mapping: str) -> None:
        """Waits for a slot; cancelling gives up the wait, and the slot if it was granted meanwhile."""
        if self._free:
            self._free -= 1
            return
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(mapping, deque()).append(ticket)
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """Gives a slot to the mapping whose turn it is, or back."""
        while self._waiting:
            mapping, tickets = next(iter(self._waiting.items()))
            del self._waiting[mapping]
            while tickets and tickets[0].done():
                tickets.popleft()
            if tickets:
                tickets.popleft().set_result(None)
                if tickets:
                    self._waiting[mapping] = tickets
                return
        self._free += 1


class SharedTarget:
    """A target, its `reserved_concurrency` (None means no cap, 0 that it is switched off) and its pace.

    Whoever has a slot waits at the gate for the pace, one at a time, so that the pace is shared in turn as well.
    """

    def __init__(self, target: Target, cap: int | None, pace: Pace | None = None) -> None:
        self.target = target
        self.closed = cap == 0
        self._slots = None if cap is None else FairSlots(cap)
        self._pace = pace
        self._gate = FairSlots(1)

    async def acquire(self, mapping: str, stop: Stop, within: float) -> bool:
        """Waits for a slot and the pace; False if the stop or the time limit (seconds) came first."""
        if self._slots is None and self._pace is None:
            return not stop.is_set()
        try:
            async with stop.limit(within):
                await self._enter(mapping)
        except TimeoutError:
            return False
        return True

    def release(self) -> None:
        """Gives the slot back."""
        if self._slots is not None:
            self._slots.give()

    async def _enter(self, mapping: str) -> None:
        if self._slots is not None:
            await self._slots.take(mapping)
        if self._pace is not None:
            try:
                await self._paced(mapping, self._pace)
            except BaseException:
                self.release()
                raise

    async def _paced(self, mapping: str, pace: Pace) -> None:
        await self._gate.take(mapping)
        try:
            await pace.turn()
        finally:
            self._gate.give()


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

    @asynccontextmanager
    async def slot(self, stop: Stop, within: float) -> AsyncIterator[bool]:
        """A slot of the target, held for what is inside; False if the stop or `within` seconds came first."""
        granted = await self._shared.acquire(self._mapping, stop, within)
        try:
            yield granted
        finally:
            if granted:
                self._shared.release()

    async def invoke(self, call: Invocation) -> Reply:
        """Calls the target; to be used with a slot, which is never held over a pause."""
        try:
            return await self._shared.target.invoke(call)
        except Exception as error:  # noqa: BLE001 -- a target that breaks its contract must not break the lane
            return Errored(Outcome.FUNCTION_ERROR, f"the target raised {type(error).__name__}: {error}")

    def learn(self, outcome: Outcome, started: float) -> None:
        """What the outcome of an invocation that began at `started` means for the next ones.

        A refusal is neutral and a partial failure is no reason to slow down.
        """
        self.refused = outcome in _REFUSALS
        if outcome in {Outcome.FUNCTION_ERROR, Outcome.TIMEOUT}:
            self._health = self._health.failed(started, self._world.monotonic(), self.limit)
        elif not self.refused:
            self._health = self._health.succeeded()
