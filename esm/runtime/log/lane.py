"""The log discipline: one lane drives one target until it has ended or is told to stop.

`Feeder` reads into the ledger; `Workers` give owners their turns; the committer outlives both, so that the last
mark is written. Nothing fresh is begun while the store fails.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from esm.checkpoint import Checkpoint, Position
from esm.core.batching import BatchRule, room_for
from esm.core.log.judging import Reports, RetryRule
from esm.core.log.ledger import LaneRule, Ledger
from esm.core.log.packing import ROOM
from esm.core.log.parts import Owner
from esm.core.notice import Subject
from esm.errors import LostLease, StoreFailed
from esm.model import Lane, Record
from esm.ports import GroupSource, LogReader
from esm.runtime.calling.caller import Caller
from esm.runtime.lane_happenings import Retried
from esm.runtime.log.committer import Committer
from esm.runtime.log.dropping import Dropping, Outlet
from esm.runtime.log.feeder import Feeder
from esm.runtime.log.row import HeldRow
from esm.runtime.log.stall import Stall
from esm.runtime.log.turns import Turns
from esm.runtime.log.workers import Workers
from esm.runtime.memory import Memory
from esm.runtime.plan import LogPlan
from esm.runtime.sieve import Sieve
from esm.runtime.signals import Stop
from esm.runtime.status.figures import LaneFigures
from esm.runtime.world import World

_CAREFUL_INTERVALS = 10
_LAST_WORDS = 2.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What the lanes of a mapping have in common."""

    plan: LogPlan
    caller: Caller
    outlets: Sequence[Outlet]
    memory: Memory
    world: World


class LogLane:
    """One lane, its row taken and its reader opened behind what was found in it."""

    def __init__(
        self, shared: Shared, lane: Lane, reader: LogReader, row: HeldRow,
        *, stop: Stop, is_listed: Callable[[], bool],
    ) -> None:  # fmt: skip
        plan, world = shared.plan, shared.world
        options = plan.options
        self._plan, self._world, self._stop, self._row = plan, world, stop, row
        self._memory = shared.memory
        self._rule = rule_of(plan)
        sieve = Sieve(plan.name, plan.source.codec, plan.filters, world)
        self._ledger = Ledger(row.found, self._rule, None if plan.filters is None else sieve.keeps)
        self._stall = Stall(plan.name, lane.name, world)
        self._closing = False
        self._careful_for = 0.0 if row.found.clean else _CAREFUL_INTERVALS * options.checkpoint_interval
        self._first_call: float | None = None
        self._oldest: Record | None = None
        self.lane = lane
        self._workers = Workers(
            ledger=self._ledger,
            rule=self._rule,
            memory=shared.memory,
            world=world,
            stop=stop,
            turn=self._turn,
            turn_over=self._turn_over,
            is_failing=lambda: self._committer.is_failing,
        )
        self.feeder = Feeder(
            mapping=plan.name,
            lane=lane,
            reader=reader,
            ledger=self._ledger,
            memory=shared.memory,
            options=options,
            world=world,
            stop=stop,
            idle_workers=self._workers.idle,
            is_listed=is_listed,
            admitted=self._admitted,
        )
        self._committer = Committer(
            mapping=plan.name,
            row=row,
            snapshot=self._snapshot,
            interval=options.checkpoint_interval,
            stall=self._stall,
            world=world,
            wake=self._workers.look_again,
        )
        self._turns = self._turns_of(shared)

    def _turns_of(self, shared: Shared) -> Turns:
        plan, world = shared.plan, shared.world
        codec = plan.source.codec
        subject = Subject(plan.id, plan.name, plan.function or plan.target, plan.annotate)
        return Turns(
            mapping=plan.name,
            lane=self.lane.name,
            ledger=self._ledger,
            rule=self._rule.retry,
            caller=shared.caller,
            dropping=Dropping(self.lane, shared.outlets, codec, subject, self._stall, world, self._stop),
            committer=self._committer,
            memory=shared.memory,
            world=world,
            stop=self._stop,
            is_careful=self._is_careful,
            rest=self._workers.rest,
        )

    @property
    def has_ended(self) -> bool:
        """The lane is closed, and all of it is finished and written down."""
        checkpoint = self._row.row.checkpoint
        return checkpoint is not None and checkpoint.ended

    def figures(self) -> LaneFigures:
        """The lane at this moment, for status and metrics; only reads, and may be called in another thread."""
        oldest, asked = self._oldest, self.feeder.asked
        budgets = [part.budget for owner in tuple(self._ledger.owners) for part in owner.parts[:1]]
        return LaneFigures(
            at=self._ledger.mark,
            written=self._written_at(),
            behind=self.feeder.behind,
            end=self.feeder.end,
            age=max(0.0, self._world.wall() - oldest.arrived) if oldest else 0.0,
            gathered=len(self._ledger.buffer),
            past_mark=self._ledger.past_mark,
            pending=len(self._ledger.owners),
            attempts=max((budget.attempts for budget in budgets), default=0),
            held_by=oldest.id if oldest else "",
            key=(oldest.key or "") if oldest else "",
            held_bytes=self._ledger.held_bytes,
            stalled=self._stall.why,
            crowded=self._ledger.is_crowded and not self._ledger.is_restoring,
            calls=self._turns.calls,
            in_flight=self._turns.in_flight,
            unanswered=0.0 if asked is None else self._world.monotonic() - asked,
        )

    async def run(self) -> None:
        """Until the lane has ended or the stop has come and what is under way is over. Raises `LostLease`."""
        withdraw = ExitStack()
        withdraw.callback(self._stop.then(self._wake))
        try:
            async with asyncio.TaskGroup() as upkeep:
                upkeep.create_task(self._committer.run())
                async with asyncio.TaskGroup() as work:
                    work.create_task(self.feeder.run())
                    work.create_task(self._workers.run(work))
                self._closing = True
                self._committer.close()
        except asyncio.CancelledError:
            await self._last_words()
            raise
        finally:
            withdraw.close()
            self._memory.free(self._ledger.held_bytes)

    async def _last_words(self) -> None:
        """Our own stop ran out of patience: what it cut off is not to count as a crash."""
        if self._stop.is_set():
            self._closing = True
            with suppress(TimeoutError, StoreFailed, LostLease):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._row.commit(self._snapshot())

    def _turn(self, owner: Owner) -> Awaitable[None]:
        return self._turns.take(owner)

    def _turn_over(self) -> None:
        self._oldest = self._ledger.oldest
        self.feeder.look_again()

    def _is_careful(self) -> bool:
        """From the first call on, however long that had to wait: it may be the one that killed us."""
        now = self._world.monotonic()
        if self._first_call is None:
            self._first_call = now
        return now < self._first_call + self._careful_for

    def _admitted(self, owners: Sequence[Owner]) -> None:
        for owner in owners:
            budget = owner.first.budget
            if budget.cuts:
                records = len(owner.first.records)
                told = Retried(self._plan.name, self.lane.name, "", records, "crash", budget.attempts, 0.0)
                self._world.tell(told)
        if self._ledger.has_ended or self._ledger.mark != self._written_at():
            self._committer.changed()
        self._oldest = self._ledger.oldest
        self._workers.rest(*owners)

    def _written_at(self) -> Position | None:
        checkpoint = self._row.row.checkpoint
        return None if checkpoint is None else checkpoint.at

    def _wake(self) -> None:
        self._workers.look_again()
        self.feeder.look_again()

    def _snapshot(self) -> Checkpoint:
        return self._ledger.checkpoint(clean=self._closing)


def rule_of(plan: LogPlan) -> LaneRule:
    """What the plan says, in the words of the core.

    A log whose lanes a group shares out is a topic: its function lists what failed by partition and offset, and
    its checkpoints go with the group's commits.
    """
    options = plan.options
    is_topic = isinstance(plan.source, GroupSource)
    listing = Reports.LISTED if is_topic else Reports.LOWEST
    return LaneRule(
        BatchRule(options.batch_size, room_for(plan.source.codec.frame), options.window),
        options.parallelization_factor,
        RetryRule(
            options.maximum_retry_attempts,
            options.maximum_record_age,
            options.bisect,
            listing if options.reports_failures else Reports.NONE,
        ),
        ROOM if is_topic else None,
    )
