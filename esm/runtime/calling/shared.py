"""One target with what all mappings naming it share.

Its circuit breaker, its slots, handed out in turn between the mappings, its pace, and the slots of the whole
engine.
"""

from collections.abc import Callable
from contextlib import ExitStack

from esm.ports import Target
from esm.runtime.calling.circuit import Circuit
from esm.runtime.calling.slots import FairSlots
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
