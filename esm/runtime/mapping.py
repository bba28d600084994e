"""One mapping: its source's lanes, each driven by the discipline that fits, until it is told to stop."""

from dataclasses import dataclass

from esm.ports import GroupSource, LaneStore
from esm.runtime.calling.dispatch import Dispatcher, SharedTarget
from esm.runtime.happenings import State
from esm.runtime.log.group import GroupMapping
from esm.runtime.log.mapping import LogMapping
from esm.runtime.memory import Memory
from esm.runtime.plan import LogPlan, QueueOptions, QueuePlan
from esm.runtime.queue.mapping import QueueMapping
from esm.runtime.signals import Stop
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World

_BY_LANES = QueueOptions()
"""A log's lanes and their factor say how many of its batches are in flight, the dispatcher need not."""


@dataclass(slots=True)
class Company:
    """What the mappings of an engine share; without `store` no log can be driven."""

    memory: Memory
    board: StatusBoard
    world: World
    store: LaneStore | None = None


@dataclass(slots=True)
class MappingRun:
    """Drives one mapping, by the discipline of its plan."""

    plan: QueuePlan | LogPlan
    shared: SharedTarget
    company: Company

    async def run(self, stop: Stop) -> None:
        """Returns when every lane has drained."""
        name, tell = self.plan.name, self.company.world.tell
        if not self.plan.enabled:
            tell(State(name, "Disabled"))
            return
        tell(State(name, "Enabled"))
        withdraw = stop.then(lambda: tell(State(name, "Disabling")))
        try:
            await self._discipline().run(stop)
        finally:
            withdraw()
        tell(State(name, "Disabled"))

    def _discipline(self) -> GroupMapping | LogMapping | QueueMapping:
        company, plan = self.company, self.plan
        memory, board, world = company.memory, company.board, company.world
        if isinstance(plan, QueuePlan):
            dispatcher = Dispatcher(plan.name, self.shared, plan.options, world)
            return QueueMapping(plan, dispatcher, memory, board, world)
        dispatcher = Dispatcher(plan.name, self.shared, _BY_LANES, world)
        if isinstance(plan.source, GroupSource):
            return GroupMapping(plan, plan.source, dispatcher, memory, board, world)
        if company.store is None:
            raise ValueError(f"{plan.name} reads a log, and there is no store for its positions")
        return LogMapping(plan, plan.source, dispatcher, company.store, memory, board, world)
