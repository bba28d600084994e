"""Runs the lanes of one mapping over a log, each from taking its row to its end, and knows those that are open.

Which lanes there are is for others to say: lineage for the shards of a stream, the group for the partitions of a
topic.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from esm.checkpoint import Checkpoint
from esm.core.backoff import Backoff, Failures
from esm.errors import LaneGone, LostLease
from esm.model import Lane
from esm.ports import LogReader
from esm.runtime.calling.caller import Caller
from esm.runtime.lane_happenings import LaneEnded, LaneLost, LaneStarted, LaneStopped, RecordsLost
from esm.runtime.log.dropping import Outlet
from esm.runtime.log.lane import LogLane, Shared
from esm.runtime.log.row import HeldRow, Rows
from esm.runtime.log.watch import watch
from esm.runtime.memory import Memory
from esm.runtime.plan import LogPlan
from esm.runtime.signals import Stop, apart, heed_cancel
from esm.runtime.source_health import SourceHealth
from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.values import Live
from esm.runtime.world import World

_TAKE_AGAIN = Backoff(base=1.0, cap=60.0)
_CALM = 60.0


@dataclass(frozen=True, slots=True)
class Lineage:
    """What the owner of the lanes has to say: is a lane still there, and that one is over, with its children."""

    is_listed: Callable[[Lane], bool]
    over: Callable[[Lane, Collection[Lane] | None], None]


@dataclass(slots=True)
class LaneRunner:
    """`open_reader` opens a lane behind what its row says."""

    shared: Shared
    rows: Rows
    open_reader: Callable[[Lane, HeldRow], AbstractAsyncContextManager[LogReader]]
    lineage: Lineage
    health: SourceHealth
    _lanes: dict[str, LogLane] = field(default_factory=dict, init=False)
    _opening: dict[str, float] = field(default_factory=dict, init=False)

    async def run(self, lane: Lane, stop: Stop) -> None:
        """Until it has ended or is stopped; a row that somebody else wrote is taken again after a while.

        Soon at first: it was most likely a tool, which wants to see its write heeded. All the while somebody
        watches whether the lane moves, also before it is open.
        """
        async with asyncio.TaskGroup() as tasks:
            figures = partial(self._figures_of, lane.name)
            watching = tasks.create_task(watch(self.shared.plan.name, lane.name, figures, self.shared.world))
            await self._run(lane, stop)
            watching.cancel()

    async def _run(self, lane: Lane, stop: Stop) -> None:
        world = self.shared.world
        failures = Failures()
        while not stop.is_set():
            heed_cancel()
            opened = world.monotonic()
            try:
                await apart(self._open_lane(lane, stop))
            except* LostLease:
                if world.monotonic() - opened > _CALM:
                    failures.over()
                pause = failures.another(_TAKE_AGAIN, world.chance())
                world.tell(LaneLost(self.shared.plan.name, lane.name, pause))
                if await stop.within(pause):
                    world.tell(LaneStopped(self.shared.plan.name, lane.name, None))
            else:
                return

    def live(self) -> Live:
        """The figures of this moment, over all lanes."""
        lanes = self.figures()
        each_lane = [lane for lane in lanes.values() if lane.is_open]
        return Live(
            concurrency=sum(lane.in_flight for lane in each_lane),
            concurrency_limit=len(each_lane) * self.shared.plan.options.parallelization_factor,
            pollers=len(each_lane),
            gathered=sum(each.gathered for each in each_lane),
            held_bytes=sum(each.held_bytes for each in each_lane),
            circuit_open=self.shared.caller.circuit_open,
            lanes=lanes,
        )

    def figures(self) -> Mapping[str, LaneFigures]:
        """Each lane that is open or about to be, by name."""
        return {name: self._figures_of(name) for name in (*tuple(self._opening), *tuple(self._lanes))}

    def _figures_of(self, name: str) -> LaneFigures:
        if run := self._lanes.get(name):
            return run.figures()
        now = self.shared.world.monotonic()
        return LaneFigures(unanswered=now - self._opening.get(name, now), is_open=False)

    async def _open_lane(self, lane: Lane, stop: Stop) -> None:
        self._opening[lane.name] = self.shared.world.monotonic()
        try:
            await self._opened_lane(lane, stop)
        finally:
            self._opening.pop(lane.name, None)

    async def _opened_lane(self, lane: Lane, stop: Stop) -> None:
        plan, world = self.shared.plan, self.shared.world
        row = await self.rows.take(lane.name, world.new_id())
        if row.found.ended:
            self._over(lane, None)
            return
        try:
            async with self.open_reader(lane, row) as reader:
                self.health.well_again()
                is_listed = partial(self.lineage.is_listed, lane)
                await self._drive(
                    LogLane(self.shared, lane, reader, row, stop=stop, is_listed=is_listed), row.found
                )
        except LaneGone:
            if self.lineage.is_listed(lane):
                raise
            world.tell(RecordsLost(plan.name, lane.name, 0))
            self._over(lane, None)
        finally:
            self.rows.leave(row)

    async def _drive(self, run: LogLane, opened: Checkpoint) -> None:
        name, lane, world = self.shared.plan.name, run.lane, self.shared.world
        world.tell(LaneStarted(name, lane.name, opened.at, careful=not opened.clean))
        self._lanes[lane.name] = run
        self._opening.pop(lane.name, None)
        try:
            await run.run()
        finally:
            del self._lanes[lane.name]
        if run.has_ended:
            self._over(lane, run.feeder.children)
        else:
            world.tell(LaneStopped(name, lane.name, run.figures().at))

    def _over(self, lane: Lane, children: Collection[Lane] | None) -> None:
        names = None if children is None else [child.name for child in children]
        self.shared.world.tell(LaneEnded(self.shared.plan.name, lane.name, names))
        self.lineage.over(lane, children)


@asynccontextmanager
async def shared_by_lanes(plan: LogPlan, caller: Caller, memory: Memory, world: World) -> AsyncIterator[Shared]:
    """What the lanes of a mapping have in common, with its destinations open."""
    async with AsyncExitStack() as opened:
        outlets = [
            Outlet(each.name, await opened.enter_async_context(each.open()), each.patience)
            for each in plan.on_failure
        ]
        yield Shared(plan, caller, outlets, memory, world)
