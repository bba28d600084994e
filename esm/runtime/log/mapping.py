"""One mapping over a log whose lanes have parents: which of them run, until it is told to stop.

Where the mapping begins is resolved once and written down before anything is read. Then lanes run as their
lineage allows, each behind its own fault barrier: what the source lists, what ended lanes announce, and what the
rows say has ended. A lane's end is durable before its children are opened, however their names became known.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field

from esm.checkpoint import Start
from esm.core.backoff import Backoff, Failures
from esm.core.log.lineage import (
    ENOUGH_LOOKS,
    EVERY_LANE,
    Sightings,
    expired,
    has_ended,
    looked_at,
    replaced,
    runnable,
)
from esm.errors import Disconnected, LostLease, StoreFailed
from esm.model import Lane
from esm.ports import LaneStore, LogReader, LogSource, Recalling
from esm.runtime.calling.caller import Caller
from esm.runtime.follow import Barrier, follow
from esm.runtime.lane_happenings import LaneReplaced
from esm.runtime.log.row import HeldRow, SeenRows, resolve_start
from esm.runtime.log.runner import LaneRunner, Lineage, shared_by_lanes
from esm.runtime.memory import Memory
from esm.runtime.plan import LogPlan
from esm.runtime.signals import Bell, Stop
from esm.runtime.source_health import SourceHealth
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World

_UNLISTED = Backoff(base=1.0, cap=300.0)
_TIDY_EVERY = 300.0


@dataclass(slots=True)
class LogMapping:
    """Drives the lanes of `source` as `plan` says; what it shares with others is handed in."""

    plan: LogPlan
    source: LogSource
    caller: Caller
    store: LaneStore
    memory: Memory
    board: StatusBoard
    world: World
    _health: SourceHealth = field(init=False)
    _sightings: Sightings = field(default_factory=Sightings, init=False)
    _running: dict[str, Lane] = field(default_factory=dict, init=False)
    _ended: set[str] = field(default_factory=set, init=False)
    _changed: Bell = field(default_factory=Bell, init=False)
    _start: Start = field(default_factory=Start, init=False)
    _rows: SeenRows = field(init=False)
    _expired: Mapping[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._health = SourceHealth(self.plan.name, self.world)

    async def run(self, stop: Stop) -> None:
        """Returns when every lane has drained."""
        async with shared_by_lanes(self.plan, self.caller, self.memory, self.world) as shared:
            if not await self._begun(stop):
                return
            lineage = Lineage(self._is_listed, self._over)
            lanes = LaneRunner(shared, self._rows, self._open_reader, lineage, self._health)

            async def run_lane(_name: str, lane: Lane, stop: Stop) -> None:
                await lanes.run(lane, stop)

            self.board.attach(self.plan.name, lanes.live)
            try:
                async with asyncio.TaskGroup() as tasks:
                    upkeep = [tasks.create_task(self._list()), tasks.create_task(self._tidy())]
                    barrier = Barrier(self._health.report, self.world)
                    await follow(self._wanted(), run_lane, stop=stop, barrier=barrier)
                    for task in upkeep:
                        task.cancel()
            finally:
                self.board.detach(self.plan.name)

    async def _begun(self, stop: Stop) -> bool:
        """Tries until it may begin; False if the stop came first."""
        failures = Failures()
        while not stop.is_set():
            try:
                await self._begin()
            except (Disconnected, StoreFailed, LostLease) as problem:
                pause = failures.another(_UNLISTED, self.world.chance())
                self._health.report("", problem, pause)
                await stop.within(pause)
            else:
                return True
        return False

    async def _begin(self) -> None:
        rows = await self.store.view(self.plan.id)
        self._rows = SeenRows(self.store, self.plan.id, rows)
        self._ended = {row.lane for row in rows if has_ended(row)}
        if isinstance(self.source, Recalling):
            self.source.recall([row.lane for row in rows if row.lane != EVERY_LANE])
        self._start = await resolve_start(self.store, self.plan.id, self.source)

    async def _list(self) -> None:
        """Follows what the source lists, as long as it takes: a listing that breaks stops no lane."""
        failures = Failures()
        while True:
            try:
                async for lanes in self.source.lanes():
                    failures.over()
                    self._health.well_again()
                    await self._make_way(lanes)
                    self._sightings = self._sightings.listing(lanes)
                    self._changed.ring()
            except Exception as problem:  # noqa: BLE001 -- a source that breaks its contract must not break the lanes
                pause = failures.another(_UNLISTED, self.world.chance())
                self._health.report("", problem, pause)
                await asyncio.sleep(pause)
            else:
                return

    async def _wanted(self) -> AsyncIterator[Mapping[str, Lane]]:
        while True:
            wanted = runnable(self._sightings, self._running, self._ended)
            self._running = dict(wanted)
            yield wanted
            await self._changed.heard()

    def _open_reader(self, lane: Lane, row: HeldRow) -> AbstractAsyncContextManager[LogReader]:
        after = row.row.start or self._start if row.found.at is None else row.found.at
        return self.source.open(lane, after)

    def _is_listed(self, lane: Lane) -> bool:
        return lane.name in self._sightings.lanes

    def _over(self, lane: Lane, children: Collection[Lane] | None) -> None:
        """The lane's end is durable, or it is gone for good: its children may begin."""
        self._ended.add(lane.name)
        self._sightings = self._sightings.children(children or ())
        self._changed.ring()

    async def _tidy(self) -> None:
        """Now and then, while the source answers: what cannot be removed now is removed another time."""
        while True:
            await asyncio.sleep(_TIDY_EVERY)
            if not self._health.is_broken:
                with suppress(StoreFailed):
                    await self._clean_up()

    async def _make_way(self, lanes: Collection[Lane]) -> None:
        """For lanes that only have the names of some that ended, before anything of theirs begins.

        Raises `StoreFailed`.
        """
        if self._ended.isdisjoint(lane.name for lane in lanes):
            return
        for row in replaced(await self.store.view(self.plan.id), {lane.name: lane for lane in lanes}):
            if await self.store.forget(row):
                self._rows.forget(row.lane)
                self._ended.discard(row.lane)
                self.world.tell(LaneReplaced(self.plan.name, row.lane))

    async def _clean_up(self) -> None:
        """Rows that nobody will ask for again."""
        rows = [row for row in await self.store.view(self.plan.id) if row.lane != EVERY_LANE]
        found = expired(rows, self._sightings.lanes)
        self._expired = looked_at(found, self._expired)
        for row in found:
            if self._expired[row.lane] >= ENOUGH_LOOKS:
                await self.store.forget(row)
