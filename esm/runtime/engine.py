"""The engine: every wanted mapping runs, whatever becomes of the others.

Targets are opened once and shared; each mapping runs behind its own fault barrier. Stopping has two steps:
`stop` asks and waits for what is under way, and after `grace` seconds what is left is cancelled, which is safe
because nothing is deleted before it is done.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from esm.runtime.dispatch import SharedTarget
from esm.runtime.follow import Barrier, follow
from esm.runtime.happenings import Abandoned, Crashed, Happening, State
from esm.runtime.mapping import MappingRun
from esm.runtime.memory import Memory
from esm.runtime.plan import EnginePlan, MappingPlan
from esm.runtime.signals import Stop
from esm.runtime.status import StatusBoard
from esm.runtime.world import World


class Unsettled:
    """An observer that remembers what was still held when its lane ended, for the list at the end."""

    def __init__(self) -> None:
        self.by_mapping: dict[str, list[str]] = {}

    def __call__(self, happening: Happening) -> None:
        if isinstance(happening, Abandoned):
            self.by_mapping.setdefault(happening.mapping, []).extend(happening.record_ids)


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
            self.world.tell(State(mapping, "Creating"))
        memory = Memory(self.plan.memory_limit)
        async with AsyncExitStack() as opened:
            targets = {
                name: SharedTarget(await opened.enter_async_context(target.open()), target.reserved_concurrency)
                for name, target in self.plan.targets.items()
            }

            async def run_mapping(_name: str, plan: MappingPlan, stop: Stop) -> None:
                await MappingRun(plan, targets[plan.target], memory, self.board, self.world).run(stop)

            await self._within_grace(run_mapping)

    def abort(self) -> None:
        """Cancels at once what is still under way: the second signal."""
        self.stop.set()
        if self._patience:
            self._patience.reschedule(0)

    async def _within_grace(self, run_mapping: Callable[[str, MappingPlan, Stop], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(None) as self._patience:
                patience, now = self._patience, asyncio.get_running_loop().time
                self.stop.then(lambda: patience.reschedule(now() + self.grace))
                barrier = Barrier(self._report, self.world)
                await follow(self._wanted(), run_mapping, stop=self.stop, barrier=barrier)
        except TimeoutError:
            return
        finally:
            self._patience = None

    async def _wanted(self) -> AsyncIterator[Mapping[str, MappingPlan]]:
        yield self.plan.mappings

    def _report(self, mapping: Hashable, error: BaseException, pause: float) -> None:
        self.world.tell(Crashed(str(mapping), error, pause))
