"""One mapping: its source's lanes, each driven by the discipline that fits, until it is told to stop."""

from dataclasses import dataclass

from esm.ports import GroupSource, LaneStore
from esm.runtime.calling.caller import Caller
from esm.runtime.calling.shared import SharedTarget
from esm.runtime.happenings import MappingState, State
from esm.runtime.log.group import GroupMapping
from esm.runtime.log.mapping import LogMapping
from esm.runtime.memory import Memory
from esm.runtime.plan import LogPlan, QueuePlan
from esm.runtime.queue.mapping import QueueMapping
from esm.runtime.signals import Stop
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World


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
            tell(State(name, MappingState.DISABLED))
            return
        tell(State(name, MappingState.ENABLED))
        withdraw = stop.then(lambda: tell(State(name, MappingState.DISABLING)))
        try:
            await self._discipline().run(stop)
        finally:
            withdraw()
        tell(State(name, MappingState.DISABLED))

    def _discipline(self) -> GroupMapping | LogMapping | QueueMapping:
        company, plan = self.company, self.plan
        memory, board, world = company.memory, company.board, company.world
        caller = Caller(plan.name, self.shared, plan.source.codec, world)
        if isinstance(plan, QueuePlan):
            return QueueMapping(plan, caller, memory, board, world)
        if isinstance(plan.source, GroupSource):
            return GroupMapping(plan, plan.source, caller, memory, board, world)
        if company.store is None:
            raise ValueError(f"{plan.name} reads a log, and there is no store for its positions")
        return LogMapping(plan, plan.source, caller, company.store, memory, board, world)
