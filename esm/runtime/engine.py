"""The engine: every wanted mapping runs, whatever becomes of the others.

Targets are opened once and shared; each mapping runs behind its own fault barrier. Stopping has two steps:
`stop` asks and waits for what is under way, and after `grace` seconds what is left is cancelled, which is safe
because nothing is deleted before it is done.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

from esm.runtime.calling.shared import SharedTarget
from esm.runtime.calling.slots import FairSlots
from esm.runtime.follow import Barrier, follow
from esm.runtime.happenings import Abandoned, Crashed, Deleted, Happening, MappingState, State
from esm.runtime.mapping import Company, MappingRun
from esm.runtime.memory import Memory
from esm.runtime.plan import EnginePlan, LogPlan, QueuePlan
from esm.runtime.signals import Stop, hurry
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World


class Unsettled:
    """An observer that remembers what was not settled when the engine stopped, for the list at the end."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self.by_mapping: dict[str, list[str]] = {}

    def __call__(self, happening: Happening) -> None:
        match happening:
            case Abandoned(mapping=mapping, record_ids=left):
                self.by_mapping.setdefault(mapping, []).extend(left)
            case Deleted(mapping=mapping, undeleted=left) if left and self._stop.is_set():
                self.by_mapping.setdefault(mapping, []).extend(left)


@dataclass(slots=True)
class Engine:
    """Runs a plan. `grace` in seconds bounds the second half of a stop."""

    plan: EnginePlan
    board: StatusBoard
    world: World
    grace: float
    stop: Stop = field(default_factory=Stop)
    _patience: asyncio.Timeout | None = field(default=None, init=False)

    async def run(self) -> None:
        """Until `stop` is set and all has drained, or `grace` seconds after it."""
        for mapping in self.plan.mappings:
            self.world.tell(State(mapping, MappingState.CREATING))
        async with AsyncExitStack() as opened:
            try:
                async with asyncio.timeout(None) as self._patience:
                    withdraw = self.stop.then(partial(self._last_for, self._patience))
                    try:
                        await self._run(opened)
                    finally:
                        withdraw()
            except TimeoutError:
                if not self.stop.is_set():
                    raise
            finally:
                self._patience = None

    def abort(self) -> None:
        """Cancels at once what is still under way: the second signal."""
        self.stop.set()
        if self._patience:
            hurry(self._patience)

    def _last_for(self, patience: asyncio.Timeout) -> None:
        patience.reschedule(asyncio.get_running_loop().time() + self.grace)

    async def _run(self, opened: AsyncExitStack) -> None:
        memory = Memory(self.plan.memory_limit)
        most = self.plan.maximum_concurrency
        slots = None if most is None else FairSlots(most)
        targets = {
            name: SharedTarget(await opened.enter_async_context(target.open()), target, slots, self.world)
            for name, target in self.plan.targets.items()
        }

        open_store = self.plan.store
        store = None if open_store is None else await opened.enter_async_context(open_store())
        company = Company(memory, self.board, self.world, store)

        async def run_mapping(_name: str, plan: QueuePlan | LogPlan, stop: Stop) -> None:
            await MappingRun(plan, targets[plan.target], company).run(stop)

        await follow(self._wanted(), run_mapping, stop=self.stop, barrier=Barrier(self._report, self.world))

    async def _wanted(self) -> AsyncIterator[Mapping[str, QueuePlan | LogPlan]]:
        yield self.plan.mappings

    def _report(self, mapping: Hashable, error: BaseException, pause: float) -> None:
        self.world.tell(Crashed(str(mapping), error, pause))
