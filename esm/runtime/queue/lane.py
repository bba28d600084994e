"""The queue discipline: one queue drives one target until it is told to stop.

Three loops and the batches in flight. `Intake` reads; `_dispatch` sends what is due while there is a slot, each
batch as a `Delivery`; `_keep` extends the visibility of all that is held. There is no position: the queue
remembers. On stop nothing new is read and open reads are awaited; then what was never sent is given back, and
not before, because our own open read would take it again. What is at the target is awaited.
"""

import asyncio
from contextlib import ExitStack

from esm.core.batching import BatchRule, due_in, room_for
from esm.core.queue.judging import Reports
from esm.errors import Disconnected
from esm.model import Record
from esm.ports import Measured, QueueReader
from esm.runtime.happenings import Abandoned, QueueDepth
from esm.runtime.memory import Memory
from esm.runtime.plan import QueueOptions, QueuePlan
from esm.runtime.queue.custody import Custody
from esm.runtime.queue.delivery import Answered, Delivery
from esm.runtime.queue.intake import Intake
from esm.runtime.queue.slots import Slots
from esm.runtime.sieve import Sieve
from esm.runtime.signals import Bell, Stop
from esm.runtime.status.values import Live
from esm.runtime.world import World

_DEPTH_EVERY = 30.0


class QueueLane:
    """One opened queue and everything it takes to empty it."""

    def __init__(
        self,
        plan: QueuePlan,
        reader: QueueReader,
        slots: Slots,
        *,
        memory: Memory,
        world: World,
        stop: Stop,
    ) -> None:
        options, codec = plan.options, plan.source.codec
        self._mapping = plan.name
        self._reader = reader
        self._slots = slots
        self._memory = memory
        self._max_hold = options.max_hold
        self._world = world
        self._stop = stop
        self._rule = BatchRule(options.batch_size, room_for(codec.frame), options.window)
        self._sendable, self._extendable = Bell(), Bell()
        self._sending = self._settling = 0
        self._custody = Custody(plan.name, reader, memory, world, options.max_hold)
        self._intake = Intake(
            mapping=plan.name,
            reader=reader,
            custody=self._custody,
            sieve=Sieve(plan.name, codec, plan.filters, world),
            slots=slots,
            memory=memory,
            options=options,
            room=self._rule.room,
            world=world,
            stop=stop,
            admitted=self._admitted,
        )
        self._delivery = Delivery(
            mapping=plan.name,
            custody=self._custody,
            slots=slots,
            reports=reports_of(options),
            world=world,
            stop=stop,
            reads_over=self._intake.over,
        )

    def live(self) -> Live:
        """The figures of this moment, for status and metrics."""
        return Live(
            concurrency=self._slots.in_flight,
            concurrency_limit=self._slots.limit,
            pollers=self._intake.open_reads,
            gathered=len(self._custody.waiting),
            held_bytes=self._custody.held_bytes,
            circuit_open=self._slots.caller.circuit_open,
        )

    async def run(self) -> None:
        """Until the stop has come and everything read has left our hands."""
        withdraw = ExitStack()
        withdraw.callback(self._stop.then(self._wake))
        withdraw.callback(self._slots.caller.when_closed(self._wake))
        try:
            async with asyncio.TaskGroup() as upkeep:
                keepers = [upkeep.create_task(self._keep()), upkeep.create_task(self._measure())]
                async with asyncio.TaskGroup() as work:
                    work.create_task(self._intake.run(work))
                    work.create_task(self._dispatch(work))
                for keeper in keepers:
                    keeper.cancel()
        finally:
            withdraw.close()
            for _ in range(self._sending):  # cancelled before they began
                self._slots.ended()
            self._custody.abandon()
            if left := self._custody.ids():
                self._world.tell(Abandoned(self._mapping, left))

    def _wake(self) -> None:
        self._intake.look_again()
        self._sendable.ring()

    def _admitted(self) -> None:
        self._sendable.ring()
        self._extendable.ring()

    async def _dispatch(self, work: asyncio.TaskGroup) -> None:
        while not self._stop.is_set():
            opens_in = self._slots.caller.shut_for  # before the slots: time goes on, and meanwhile it might open
            due = due_in(
                self._custody.waiting, self._rule, self._world.monotonic(), room_is_full=self._memory.full
            )
            if due == 0 and self._may_send():
                self._sending += 1
                self._slots.began()
                work.create_task(self._deliver(self._custody.take(self._rule), self._world.monotonic()))
            elif due == 0 and (overstayed := self._overstayed()) <= 0:
                await self._give_back_oldest()
            elif due == 0:
                await self._sendable.heard(min(overstayed, opens_in or overstayed))
            else:
                await self._sendable.heard(due)
        await self._intake.over.wait()
        await self._custody.give_back(self._custody.waiting.clear(), "stopping")

    def _may_send(self) -> bool:
        """A slot is free, and what is answered but not deleted yet is no more than a round of them."""
        held = self._slots.in_flight + self._settling
        return self._slots.free > 0 and held < 2 * self._slots.limit

    async def _deliver(self, batch: list[Record], began: float) -> None:
        """The slot is free with the answer: the function does nothing while its messages are deleted."""
        try:
            try:
                answered = await self._delivery.send(batch)
            finally:
                self._sending -= 1
                self._slots.ended()
                self._wake()
            if answered is not None:
                self._slots.taken_for(self._world.monotonic() - began)
                await self._settle(answered)
        finally:
            self._custody.unlock(batch)
            self._wake()

    async def _settle(self, answered: Answered) -> None:
        self._settling += 1
        try:
            await self._custody.settle(answered.batch_id, answered.batch, answered.verdict)
        finally:
            self._settling -= 1

    def _overstayed(self) -> float:
        """Seconds until what waits has been held too long without a chance to be sent."""
        longest = max(self._max_hold, self._reader.terms.visibility)
        return self._custody.waiting.oldest_read + longest - self._world.monotonic()

    async def _give_back_oldest(self) -> None:
        batch = self._custody.take(self._rule)
        await self._custody.give_back(batch, "held too long")
        self._custody.unlock(batch)

    async def _keep(self) -> None:
        async with asyncio.TaskGroup() as heartbeats:  # side by side: one that hangs must not hold up the next
            while True:
                await self._extendable.heard(self._custody.next_extension())
                if self._custody.next_extension() == 0:
                    heartbeats.create_task(self._extend())

    async def _extend(self) -> None:
        await self._custody.extend()
        self._extendable.ring()

    async def _measure(self) -> None:
        while isinstance(self._reader, Measured):
            try:
                backlog = await self._reader.backlog()
            except Disconnected:
                pass
            else:
                self._world.tell(QueueDepth(self._mapping, backlog.visible, backlog.in_flight))
            await asyncio.sleep(_DEPTH_EVERY)


def reports_of(options: QueueOptions) -> Reports:
    """What the plan says, in the words of the core."""
    if not options.reports_failures:
        return Reports.NONE
    return Reports.GROUPS if options.whole_groups else Reports.LISTED
