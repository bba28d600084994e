"""One mapping over a log: which of its lanes run, each behind its own fault barrier, until it is told to stop.

Where the mapping begins is resolved once and written down before anything is read. Then lanes run as their
lineage allows: what the source lists, what ended lanes announce, and what the rows say has ended. A lane's end is
durable before its children are opened, however their names became known.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Hashable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

from esm.checkpoint import Checkpoint, LaneRow, Start
from esm.core.backoff import Backoff
from esm.core.lineage import EVERY_LANE, Sightings, expired, has_ended, runnable
from esm.errors import Disconnected, LaneGone, LostLease, StoreFailed
from esm.model import Lane
from esm.ports import LaneStore
from esm.runtime.board import StatusBoard
from esm.runtime.dispatch import Dispatcher
from esm.runtime.dropping import Outlet
from esm.runtime.follow import Barrier, follow
from esm.runtime.happenings import Crashed, SourceFailed, SourceRecovered
from esm.runtime.lane_happenings import LaneEnded, LaneLost, LaneStarted, LaneStopped, RecordsLost
from esm.runtime.lane_row import resolve_start, take_row
from esm.runtime.lane_watch import LaneFigures
from esm.runtime.log_lane import LogLane, Shared
from esm.runtime.memory import Memory
from esm.runtime.plan import LogPlan
from esm.runtime.signals import Bell, Stop
from esm.runtime.status import Live
from esm.runtime.world import World

_UNLISTED = Backoff(base=1.0, cap=300.0)
_TAKE_AGAIN = Backoff(base=10.0, cap=60.0)


@dataclass(slots=True)
class LogMapping:
    """Drives the lanes of one plan; what it shares with others is handed in."""

    plan: LogPlan
    dispatcher: Dispatcher
    store: LaneStore
    memory: Memory
    board: StatusBoard
    world: World
    _sightings: Sightings = field(default_factory=Sightings, init=False)
    _running: dict[str, Lane] = field(default_factory=dict, init=False)
    _lanes: dict[str, LogLane] = field(default_factory=dict, init=False)
    _ended: set[str] = field(default_factory=set, init=False)
    _changed: Bell = field(default_factory=Bell, init=False)
    _broken: bool = field(default=False, init=False)
    _start: Start = field(default_factory=Start, init=False)

    async def run(self, stop: Stop) -> None:
        """Returns when every lane has drained."""
        async with AsyncExitStack() as opened:
            outlets = [
                Outlet(each.name, await opened.enter_async_context(each.open())) for each in self.plan.on_failure
            ]
            if not await self._begun(stop):
                return
            self.board.attach(self.plan.name, self.live)
            opened.callback(self.board.detach, self.plan.name)
            shared = Shared(self.plan, self.dispatcher, outlets, self.memory, self.world)

            async def run_lane(_name: str, lane: Lane, stop: Stop) -> None:
                await self._run_lane(shared, lane, stop)

            async with asyncio.TaskGroup() as tasks:
                listing = tasks.create_task(self._list())
                await follow(self._wanted(), run_lane, stop=stop, barrier=Barrier(self._report, self.world))
                listing.cancel()

    def live(self) -> Live:
        """The figures of this moment, over all lanes."""
        lanes = self.figures()
        each_lane = lanes.values()
        return Live(
            concurrency=self.dispatcher.in_flight,
            concurrency_limit=len(lanes) * self.plan.options.parallelization_factor,
            pollers=len(lanes),
            gathered=sum(each.gathered for each in each_lane),
            held_bytes=sum(each.held_bytes for each in each_lane),
            circuit_open=self.dispatcher.circuit_open,
            lanes=lanes,
        )

    def figures(self) -> Mapping[str, LaneFigures]:
        """Each lane that is open, by name."""
        return {name: lane.figures() for name, lane in tuple(self._lanes.items())}

    async def _begun(self, stop: Stop) -> bool:
        """Tries until it may begin; False if the stop came first."""
        failures = 0
        while not stop.is_set():
            try:
                await self._begin()
            except (Disconnected, StoreFailed, LostLease) as problem:
                failures += 1
                pause = _UNLISTED.pause(failures, self.world.chance())
                self._report("", problem, pause)
                await stop.within(pause)
            else:
                return True
        return False

    async def _begin(self) -> None:
        rows = await self.store.view(self.plan.id)
        self._ended = {row.lane for row in rows if has_ended(row)}
        self._start = await resolve_start(self.store, self.plan.id, self.plan.source)

    async def _list(self) -> None:
        """Follows what the source lists, as long as it takes."""
        failures = 0
        while True:
            try:
                async for lanes in self.plan.source.lanes():
                    failures = 0
                    self._well_again()
                    self._sightings = self._sightings.listing(lanes)
                    self._changed.ring()
                    await self._clean_up()
            except Disconnected as problem:
                failures += 1
                pause = _UNLISTED.pause(failures, self.world.chance())
                self._report("", problem, pause)
                await asyncio.sleep(pause)
            else:
                return

    async def _wanted(self) -> AsyncIterator[Mapping[str, Lane]]:
        while True:
            wanted = runnable(self._sightings, self._running, self._ended)
            self._running = dict(wanted)
            yield wanted
            await self._changed.heard()

    async def _run_lane(self, shared: Shared, lane: Lane, stop: Stop) -> None:
        """Until it has ended or is stopped; a row that somebody else wrote is taken again after a while."""
        failures = 0
        while not stop.is_set():
            try:
                await self._open_lane(shared, lane, stop)
            except* LostLease:
                failures += 1
                pause = _TAKE_AGAIN.pause(failures, self.world.chance())
                self.world.tell(LaneLost(self.plan.name, lane.name, pause))
                await stop.within(pause)
            else:
                return

    async def _open_lane(self, shared: Shared, lane: Lane, stop: Stop) -> None:
        row = await take_row(self.store, self.plan.id, lane.name, self.world.new_id())
        if row.found.ended:
            self._over(lane, None)
            return
        after = row.row.start or self._start if row.found.at is None else row.found.at
        try:
            async with self.plan.source.open(lane, after) as reader:
                self._well_again()
                is_listed = partial(self._is_listed, lane)
                await self._drive(LogLane(shared, lane, reader, row, stop=stop, is_listed=is_listed), row.found)
        except LaneGone:
            if self._is_listed(lane):
                raise
            self.world.tell(RecordsLost(self.plan.name, lane.name, 0))
            self._over(lane, None)

    async def _drive(self, run: LogLane, opened: Checkpoint) -> None:
        name, lane = self.plan.name, run.lane
        self.world.tell(LaneStarted(name, lane.name, opened.at, careful=not opened.clean))
        self._lanes[lane.name] = run
        try:
            await run.run()
        finally:
            del self._lanes[lane.name]
        if run.has_ended:
            self._over(lane, run.feeder.children)
        else:
            self.world.tell(LaneStopped(name, lane.name, run.figures().at))

    def _is_listed(self, lane: Lane) -> bool:
        return lane.name in self._sightings.lanes

    def _over(self, lane: Lane, children: Collection[Lane] | None) -> None:
        """The lane's end is durable, or it is gone for good: its children may begin."""
        names = None if children is None else [child.name for child in children]
        self.world.tell(LaneEnded(self.plan.name, lane.name, names))
        self._ended.add(lane.name)
        self._sightings = self._sightings.children(children or ())
        self._changed.ring()

    async def _clean_up(self) -> None:
        """Rows that nobody will ask for again; what cannot be removed now is removed another time."""
        try:
            rows: Collection[LaneRow] = await self.store.view(self.plan.id)
            for row in expired([row for row in rows if row.lane != EVERY_LANE], self._sightings.lanes):
                await self.store.forget(row)
        except StoreFailed:
            return

    def _well_again(self) -> None:
        if self._broken:
            self._broken = False
            self.world.tell(SourceRecovered(self.plan.name))

    def _report(self, _lane: Hashable, error: BaseException, pause: float) -> None:
        name = self.plan.name
        if isinstance(error, Disconnected):
            self._broken = True
            self.world.tell(SourceFailed(name, error.code, error.reason, pause))
        elif isinstance(error, StoreFailed):
            self._broken = True
            self.world.tell(SourceFailed(name, "StoreFailed", str(error), pause))
        else:
            self.world.tell(Crashed(name, error, pause))
