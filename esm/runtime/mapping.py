"""One mapping: its source's lanes, each driven by the discipline that fits, until it is told to stop."""

from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import dataclass, field

from esm.errors import Disconnected
from esm.model import Lane
from esm.runtime.board import StatusBoard
from esm.runtime.dispatch import Dispatcher, SharedTarget
from esm.runtime.follow import Barrier, follow
from esm.runtime.happenings import Crashed, SourceFailed, SourceRecovered, State
from esm.runtime.memory import Memory
from esm.runtime.plan import MappingPlan
from esm.runtime.queue_lane import QueueLane
from esm.runtime.signals import Stop
from esm.runtime.world import World


@dataclass(slots=True)
class MappingRun:
    """Drives one mapping; what it shares with others is handed in."""

    plan: MappingPlan
    shared: SharedTarget
    memory: Memory
    board: StatusBoard
    world: World
    _broken: bool = field(default=False, init=False)
    _dispatcher: Dispatcher = field(init=False)

    def __post_init__(self) -> None:
        self._dispatcher = Dispatcher(self.plan.name, self.shared, self.plan.options, self.world)

    async def run(self, stop: Stop) -> None:
        """Returns when every lane has drained."""
        name = self.plan.name
        if not self.plan.enabled:
            self.world.tell(State(name, "Disabled"))
            return
        self.world.tell(State(name, "Enabled"))
        withdraw = stop.then(lambda: self.world.tell(State(name, "Disabling")))
        try:
            await follow(self._lanes(), self._run_lane, stop=stop, barrier=Barrier(self._report, self.world))
        finally:
            withdraw()
        self.world.tell(State(name, "Disabled"))

    async def _lanes(self) -> AsyncIterator[Mapping[str, Lane]]:
        async for lanes in self.plan.source.lanes():
            yield {lane.name: lane for lane in lanes}

    async def _run_lane(self, _name: str, lane: Lane, stop: Stop) -> None:
        async with self.plan.source.open(lane) as reader:
            if self._broken:
                self._broken = False
                self.world.tell(SourceRecovered(self.plan.name))
            run = QueueLane(self.plan, reader, self._dispatcher, memory=self.memory, world=self.world, stop=stop)
            self.board.attach(self.plan.name, run.live)
            try:
                await run.run()
            finally:
                self.board.detach(self.plan.name)

    def _report(self, _lane: Hashable, error: BaseException, pause: float) -> None:
        name = self.plan.name
        self._broken = True
        if isinstance(error, Disconnected):
            self.world.tell(SourceFailed(name, error.code, error.reason, pause))
        else:
            self.world.tell(Crashed(name, error, pause))
