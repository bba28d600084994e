"""One mapping over a queue: its lanes, each behind a fault barrier of its own, until it is told to stop."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from esm.model import Lane
from esm.runtime.calling.caller import Caller
from esm.runtime.follow import Barrier, follow
from esm.runtime.memory import Memory
from esm.runtime.plan import QueuePlan
from esm.runtime.queue.lane import QueueLane
from esm.runtime.queue.slots import Slots
from esm.runtime.signals import Stop
from esm.runtime.source_health import SourceHealth
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World


@dataclass(slots=True)
class QueueMapping:
    """Drives the lanes of a queue."""

    plan: QueuePlan
    caller: Caller
    memory: Memory
    board: StatusBoard
    world: World
    _health: SourceHealth = field(init=False)
    _slots: Slots = field(init=False)

    def __post_init__(self) -> None:
        self._health = SourceHealth(self.plan.name, self.world)
        self._slots = Slots(self.caller, self.plan.options, self.world)

    async def run(self, stop: Stop) -> None:
        """Returns when every lane has drained."""
        barrier = Barrier(self._health.report, self.world)
        await follow(self._lanes(), self._run_lane, stop=stop, barrier=barrier)

    async def _lanes(self) -> AsyncIterator[Mapping[str, Lane]]:
        async for lanes in self.plan.source.lanes():
            yield {lane.name: lane for lane in lanes}

    async def _run_lane(self, _name: str, lane: Lane, stop: Stop) -> None:
        async with self.plan.source.open(lane) as reader:
            self._health.well_again()
            run = QueueLane(self.plan, reader, self._slots, memory=self.memory, world=self.world, stop=stop)
            self.board.attach(self.plan.name, run.live)
            try:
                await run.run()
            finally:
                self.board.detach(self.plan.name)
