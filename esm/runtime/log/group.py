"""One mapping over a log whose lanes a group shares out: those that are ours run, until it is told to stop.

The group says which lanes these are, and keeps their positions. A lane that is taken from us stops reading,
finishes what is under way if that is soon, and is cut off otherwise: whoever has it next begins behind what is
committed.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from esm.core.backoff import Backoff, Failures
from esm.errors import Disconnected
from esm.model import Absence, Lane, Rebalance, Remark
from esm.ports import GroupSource, LogReader, Membership, Outspoken
from esm.runtime.calling.caller import Caller
from esm.runtime.follow import Barrier, first_of, follow
from esm.runtime.happenings import Remarked
from esm.runtime.lane_happenings import LaneStopped, Rebalanced
from esm.runtime.log.lane import Shared
from esm.runtime.log.row import HeldRow, SharedRows
from esm.runtime.log.runner import LaneRunner, Lineage, shared_by_lanes
from esm.runtime.memory import Memory
from esm.runtime.plan import LogPlan
from esm.runtime.signals import Stop, apart, heed_cancel
from esm.runtime.source_health import SourceHealth
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World

_CALM = 60.0
_UNJOINED = Backoff(base=1.0, cap=15.0)
_REFUSED = Backoff(base=5.0, cap=300.0)


@dataclass(slots=True)
class GroupMapping:
    """Drives our lanes of `source` as `plan` says; what it shares with others is handed in."""

    plan: LogPlan
    source: GroupSource
    caller: Caller
    memory: Memory
    board: StatusBoard
    world: World
    _health: SourceHealth = field(init=False)
    _ours: Collection[str] = field(default=(), init=False)
    _failures: Failures = field(default_factory=Failures, init=False)
    _problem: Disconnected | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._health = SourceHealth(self.plan.name, self.world)

    async def run(self, stop: Stop) -> None:
        """Returns when every lane has drained and the group is left."""
        async with shared_by_lanes(self.plan, self.caller, self.memory, self.world) as shared:
            while not stop.is_set():
                heed_cancel()
                began = self.world.monotonic()
                try:
                    await apart(self._be_member(shared, stop))
                except* Disconnected as problems:
                    if self.world.monotonic() - began > _CALM:
                        self._failures.over()
                    problem = first_of(problems)
                    pause = self._pause(problem)
                    self._health.report("", problem, pause)
                    await stop.within(pause)

    def _pause(self, problem: BaseException) -> float:
        """Before the group is joined again: what passes by itself, such as a session, is over soon."""
        needs_somebody = isinstance(problem, Disconnected) and problem.lasting
        return self._failures.another(_REFUSED if needs_somebody else _UNJOINED, self.world.chance())

    async def _be_member(self, shared: Shared, stop: Stop) -> None:
        async with self.source.join() as membership:
            if isinstance(membership, Outspoken):
                membership.listen(self._pass_on)
            await self._follow(shared, membership, stop)

    def _pass_on(self, news: Rebalance | Remark | Absence) -> None:
        match news:
            case Rebalance(kind=kind, lanes=lanes, ours=ours):
                self.world.tell(Rebalanced(self.plan.name, kind, lanes, ours))
            case Remark(text=text):
                self.world.tell(Remarked(self.plan.name, text))
            case Absence(code=""):
                self._health.well_again()
            case Absence(code=code, reason=reason, pause=pause):
                self._health.report("", Disconnected(code, reason), pause)

    async def _follow(self, shared: Shared, membership: Membership, stop: Stop) -> None:
        def open_reader(lane: Lane, row: HeldRow) -> AbstractAsyncContextManager[LogReader]:
            return membership.open(lane, row.found.at)

        lanes = LaneRunner(
            shared, SharedRows(membership.rows, self.plan.id), open_reader, _NO_LINEAGE, self._health
        )

        async def run_lane(name: str, lane: Lane, own: Stop) -> None:
            await self._run_lane(lanes, name, lane, own)

        over = Stop()
        withdraw = stop.then(over.set)
        self.board.attach(self.plan.name, lanes.live)
        try:
            barrier = Barrier(self._health.report, self.world)
            await follow(self._wanted(membership, over), run_lane, stop=over, barrier=barrier)
        finally:
            withdraw()
            self.board.detach(self.plan.name)
        if self._problem is not None:
            raise self._problem

    async def _wanted(self, membership: Membership, over: Stop) -> AsyncIterator[Mapping[str, Lane]]:
        """What is ours. In the end, or once the group cannot be asked, nothing is: lanes end as if taken away."""
        self._problem = None
        try:
            async for lanes in membership.lanes():
                self._health.well_again()
                self._ours = {lane.name for lane in lanes}
                yield {lane.name: lane for lane in lanes}
        except Disconnected as problem:
            self._problem = problem
        self._ours = ()
        over.set()

    async def _run_lane(self, lanes: LaneRunner, name: str, lane: Lane, stop: Stop) -> None:
        """A stop of the whole mapping has the engine's patience, one that the group asks for has the source's."""
        try:
            async with asyncio.timeout(None) as patience:
                withdraw = stop.then(lambda: self._drain(name, patience))
                try:
                    await lanes.run(lane, stop)
                finally:
                    withdraw()
        except TimeoutError:
            if not patience.expired():
                raise
            self.world.tell(LaneStopped(self.plan.name, name, None))

    def _drain(self, name: str, patience: asyncio.Timeout) -> None:
        if name not in self._ours:
            patience.reschedule(asyncio.get_running_loop().time() + self.source.drain)


def _is_listed(_: Lane) -> bool:
    """What the group gave us is there until the group takes it."""
    return True


def _over(_: Lane, __: Collection[Lane] | None) -> None:
    """A partition never ends."""


_NO_LINEAGE = Lineage(_is_listed, _over)
