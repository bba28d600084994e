"""Who may call the target, and how many at once.

A `SharedTarget` is one target with what all mappings naming it share: its circuit breaker, its slots, handed out
in turn between the mappings, its pace, and the slots of the whole engine. A `Dispatcher` is one mapping's way to
it: its own limit, which follows backlog and health, and what the answers mean for reading on.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Protocol

from esm.core.breaker import REFUSALS
from esm.core.queue import concurrency, reading
from esm.model import Errored, Invocation, Outcome, Reply
from esm.ports import Target
from esm.runtime.calling.circuit import Circuit
from esm.runtime.calling.slots import FairSlots
from esm.runtime.happenings import CircuitClosed, CircuitOpened
from esm.runtime.plan import TargetPlan
from esm.runtime.signals import Stop
from esm.runtime.world import World


class SharedTarget:
    """A target, opened, under the terms of its plan; `engine_slots` bound all targets together, if at all."""

    def __init__(self, target: Target, plan: TargetPlan, engine_slots: FairSlots | None, world: World) -> None:
        cap = plan.reserved_concurrency
        self.target = target
        self.name = plan.name
        self.closed = cap == 0
        self.circuit = Circuit(world)
        self._slots = None if cap is None else FairSlots(cap)
        self._engine_slots = engine_slots
        self._pace = plan.pace
        self._gate = FairSlots(1)

    async def acquire(self, mapping: str, stop: Stop, within: float | None) -> ExitStack | None:
        """Waits until `mapping` may call; closing the permit gives everything back.

        None if the stop or the time limit (seconds, None for none) came first.
        """
        if stop.is_set():
            return None
        permit = ExitStack()
        if self._is_free():
            return permit
        try:
            async with stop.limit(within):
                await self._enter(mapping, permit)
        except TimeoutError:
            permit.close()
            return None
        except BaseException:
            permit.close()
            raise
        return permit

    def _is_free(self) -> bool:
        terms = (self._slots, self._engine_slots, self._pace)
        return terms == (None, None, None) and not self.circuit.is_open()

    async def _enter(self, mapping: str, permit: ExitStack) -> None:
        """The circuit may open while slots are waited for: then all is given back, and the wait begins again."""
        still_may = await self.circuit.passed(mapping, permit)
        await self._take_slots(mapping, permit, still_may)
        while not still_may():
            permit.close()
            still_may = await self.circuit.passed(mapping, permit)
            await self._take_slots(mapping, permit, still_may)

    async def _take_slots(self, mapping: str, permit: ExitStack, still_may: Callable[[], bool]) -> None:
        """A slot of the engine comes last: nobody who has one waits for anything but the target."""
        if self._slots is not None:
            await self._slots.take(mapping)
            permit.callback(self._slots.give)
        if self._pace is None:
            await self._take_of_engine(mapping, permit)
            return
        await self._gate.take(mapping)  # one at a time, so that the pace is shared in turn as well
        try:
            if still_may():  # otherwise a probe would wait until all who may not call have used up a turn each
                await self._pace.turn()
                await self._take_of_engine(mapping, permit)
        finally:
            self._gate.give()

    async def _take_of_engine(self, mapping: str, permit: ExitStack) -> None:
        if self._engine_slots is not None:
            await self._engine_slots.take(mapping)
            permit.callback(self._engine_slots.give)


class Ceiling(Protocol):
    """How many batches of a mapping may be in flight: at most `concurrency`, `starts_at` at first."""

    @property
    def starts_at(self) -> int: ...
    @property
    def concurrency(self) -> int: ...


class Judged(Protocol):
    """What an answer meant, whichever discipline judged it."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def retry_after(self) -> float | None: ...
    @property
    def why(self) -> str: ...


class Dispatcher:
    """One mapping's slots and invocations, over all its lanes."""

    def __init__(self, mapping: str, shared: SharedTarget, options: Ceiling, world: World) -> None:
        self._mapping = mapping
        self._shared = shared
        self._world = world
        self._scale = concurrency.scale_from(options.starts_at, options.concurrency, world.monotonic())
        self._health = concurrency.health_of(options.concurrency)
        self._refused = False
        self._slot_takes = 0.0
        self.in_flight = 0

    @property
    def limit(self) -> int:
        """Batches that may be in flight now."""
        return concurrency.effective(self._scale, self._health)

    @property
    def free(self) -> int:
        """Slots that another batch may take now; after a refusal one, which finds out whether that is over."""
        circuit = self._shared.circuit
        if self._shared.closed or circuit.shut_for:
            return 0
        limit = 1 if self._refused or circuit.is_open() else self.limit
        return max(0, limit - self.in_flight)

    @property
    def circuit_open(self) -> bool:
        """The target is left alone but for probes."""
        return self._shared.circuit.is_open()

    @property
    def shut_for(self) -> float | None:
        """Seconds until slots may become free although no batch ends; None if time alone frees none."""
        return self._shared.circuit.shut_for or None

    def when_closed(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` each time the target's circuit closes; returns how to withdraw it."""
        return self._shared.circuit.when_closed(listener)

    def began(self) -> None:
        """A batch takes one of the free slots."""
        self.in_flight += 1

    def ended(self) -> None:
        """It has left its slot, one way or another."""
        self.in_flight -= 1

    def slot_took(self, seconds: float) -> None:
        """How long a batch kept its slot, the wait for the target included."""
        self._slot_takes = concurrency.smoothed(self._slot_takes, seconds)

    def ahead(self, capacity: int, read_takes: float) -> int:
        """Of `capacity`, what slots will take by the time a read of `read_takes` seconds is back."""
        if self._refused or self._shared.closed or self._shared.circuit.is_open():
            return 0
        return reading.ahead(capacity, read_takes, self._slot_takes)

    def scarce(self, now: float) -> None:
        """A read came back full, and every slot is spoken for: the limit grows."""
        self._scale = self._scale.scarce(now)

    def busy(self, now: float) -> None:
        """A read came back full, and there are slots left for what it brought."""
        self._scale = self._scale.busy(now)

    def quiet(self, now: float) -> None:
        """A read came back without backlog: after a while the limit shrinks."""
        self._scale = self._scale.quiet(now)

    @asynccontextmanager
    async def slot(self, stop: Stop, within: float | None) -> AsyncIterator[bool]:
        """A slot of the target, held for what is inside; False if the stop or `within` seconds came first."""
        permit = await self._shared.acquire(self._mapping, stop, within)
        if permit is None:
            yield False
            return
        with permit:
            yield True

    async def invoke(self, call: Invocation) -> Reply:
        """Calls the target; to be used with a slot, which is never held over a pause."""
        try:
            return await self._shared.target.invoke(call)
        except Exception as error:  # noqa: BLE001 -- a target that breaks its contract must not break the lane
            return Errored(Outcome.FUNCTION_ERROR, f"the target raised {type(error).__name__}: {error}")

    def learn(self, verdict: Judged, started: float) -> None:
        """What came of an invocation that began at `started`, and what it means for the next ones.

        A refusal is neutral for the function's health, and a partial failure is no reason to slow down.
        """
        self._refused = verdict.outcome in REFUSALS
        if self._refused:
            self._not_reached(verdict)
            return
        if self._shared.circuit.is_open():
            self._world.tell(CircuitClosed(self._mapping, self._shared.name, self._shared.circuit.open_for))
        self._shared.circuit.reached()
        if verdict.outcome in {Outcome.FUNCTION_ERROR, Outcome.TIMEOUT}:
            self._health = self._health.failed(started, self._world.monotonic(), self.limit)
        else:
            self._health = self._health.succeeded()

    def _not_reached(self, verdict: Judged) -> None:
        circuit = self._shared.circuit
        if circuit.refused(verdict.outcome, verdict.retry_after):
            self._world.tell(
                CircuitOpened(self._mapping, self._shared.name, circuit.refusals, circuit.shut_for, verdict.why)
            )
