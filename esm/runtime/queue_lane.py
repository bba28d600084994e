"""The queue discipline: one queue drives one target until it is told to stop.

Three loops and the batches in flight. `_read` opens reads while credit allows and takes in what they bring;
`_dispatch` sends what is due while there is a slot; `_keep` extends the visibility of all that is held. There
is no position: the queue remembers. On stop nothing new is read, open reads are awaited (a cancelled one would
hide its messages), then what was never sent is given back, and not before: our own open read would take it
again. What is at the target is awaited.
"""

import asyncio

from esm.core import reading
from esm.core.backoff import Backoff
from esm.core.batching import BatchRule, due_in, room_for
from esm.errors import Disconnected, OverLimit
from esm.model import Page, Record
from esm.ports import Measured, QueueReader
from esm.runtime.custody import Custody
from esm.runtime.delivery import Delivery
from esm.runtime.dispatch import Dispatcher
from esm.runtime.happenings import Abandoned, Polled, QueueDepth, SourceFailed, SourceRecovered
from esm.runtime.memory import Memory
from esm.runtime.plan import MappingPlan
from esm.runtime.signals import Bell, Stop
from esm.runtime.status import Live
from esm.runtime.world import World

_UNREADABLE = Backoff(base=1.0, cap=60.0)
_LASTING = Backoff(base=5.0, cap=300.0)
_BUSY_WAIT = 1.0
_EMPTY_PAUSE = 1.0
_DEPTH_EVERY = 30.0


class QueueLane:
    """One opened queue and everything it takes to empty it."""

    def __init__(
        self,
        plan: MappingPlan,
        reader: QueueReader,
        dispatcher: Dispatcher,
        *,
        memory: Memory,
        world: World,
        stop: Stop,
    ) -> None:
        self._mapping = plan.name
        self._options = plan.options
        self._reader = reader
        self._dispatcher = dispatcher
        self._memory = memory
        self._world = world
        self._stop = stop
        self._custody = Custody(plan.name, reader, memory, world, plan.options.max_hold)
        codec = plan.source.codec
        self._rule = BatchRule(plan.options.batch_size, room_for(codec.frame), plan.options.window)
        self._reads_over = asyncio.Event()
        self._delivery = Delivery(
            plan.name, codec, self._custody, dispatcher, plan.options, world, stop, self._reads_over
        )
        self._pollers = reading.Pollers(
            plan.options.minimum_pollers, plan.options.maximum_pollers, plan.options.minimum_pollers
        )
        self._readable, self._sendable, self._extendable = Bell(), Bell(), Bell()
        self._open_reads = self._reserved = self._failures = 0
        self._not_before = self._small_since = world.monotonic()

    def live(self) -> Live:
        """The figures of this moment, for status and metrics."""
        return Live(
            concurrency=self._dispatcher.in_flight,
            concurrency_limit=self._dispatcher.limit,
            pollers=self._open_reads,
            gathered=len(self._custody.waiting),
            held_bytes=self._custody.held_bytes,
        )

    async def run(self) -> None:
        """Until the stop has come and everything read has left our hands."""
        withdraw = self._stop.then(self._wake)
        try:
            async with asyncio.TaskGroup() as upkeep:
                keepers = [upkeep.create_task(self._keep()), upkeep.create_task(self._measure())]
                async with asyncio.TaskGroup() as work:
                    work.create_task(self._read())
                    work.create_task(self._dispatch(work))
                for keeper in keepers:
                    keeper.cancel()
        finally:
            withdraw()
            if left := self._custody.ids():
                self._world.tell(Abandoned(self._mapping, left))

    def _wake(self) -> None:
        self._readable.ring()
        self._sendable.ring()

    # Reading

    async def _read(self) -> None:
        async with asyncio.TaskGroup() as reads:
            while not self._stop.is_set():
                limit, look_again = self._next_read()
                if limit:
                    self._open_reads += 1
                    self._reserved += limit
                    self._memory.expect(limit)
                    reads.create_task(self._receive(limit))
                else:
                    await self._readable.heard(look_again)
        self._reads_over.set()

    def _next_read(self) -> tuple[int, float | None]:
        """How much to read now; if nothing, seconds after which it is worth looking again without a ring."""
        now = self._world.monotonic()
        if now < self._not_before:
            return 0, self._not_before - now
        if self._open_reads >= self._pollers.wanted:
            return 0, None
        page = self._reader.terms.page
        credit = self._credit()
        limit = reading.ask(
            credit,
            batch_size=self._options.batch_size,
            page=page,
            capacity=self._dispatcher.limit * self._options.batch_size,
            small_for=now - self._small_since,
        )
        if limit or credit <= 0:
            self._small_since = now
        return limit, reading.PATIENCE if credit > 0 else None

    def _credit(self) -> int:
        """Records that could be sent soon if we had them."""
        gathered = len(self._custody.waiting) + self._reserved
        if self._custody.waiting.ready_bytes >= self._rule.room * max(1, self._dispatcher.free):
            return 0
        if self._dispatcher.refused:
            credit = 0 if self._dispatcher.in_flight else self._options.batch_size - gathered
        else:
            credit = self._dispatcher.free * self._options.batch_size - gathered
        return min(credit, self._room())

    def _room(self) -> int:
        """Records the process has memory for; one page always, while this lane holds nothing."""
        room = self._memory.room
        page = self._reader.terms.page
        if room < page:
            self._memory.when_room(self._readable.ring)
        return max(room, 0 if len(self._custody) or self._reserved else page)

    async def _receive(self, limit: int) -> None:
        idle = not len(self._custody) and self._open_reads <= self._options.minimum_pollers
        started = self._world.monotonic()
        try:
            page = await self._reader.read(limit, self._options.wait if idle else _BUSY_WAIT)
        except Disconnected as problem:
            self._unreadable(problem)
        else:
            self._readable_again()
            self._learn(page, limit, started)
            await self._custody.admit(page)
        finally:
            self._open_reads -= 1
            self._reserved -= limit
            self._memory.arrived(limit)
            self._wake()
            self._extendable.ring()

    def _learn(self, page: Page, limit: int, started: float) -> None:
        """What an answer says: is there more, and how soon to ask again."""
        now = self._world.monotonic()
        count = len(page.records)
        oldest = self._world.wall() - min((record.arrived for record in page.records), default=self._world.wall())
        self._world.tell(Polled(self._mapping, count + len(page.rejected), max(0.0, oldest)))
        full = count >= limit
        self._pollers = self._pollers.full() if full else self._pollers.short()
        spoken_for = self._credit() <= self._options.batch_size
        self._dispatcher.backlog(now, full=full, all_taken=spoken_for)
        if not count and now - started < _EMPTY_PAUSE:
            self._not_before = started + _EMPTY_PAUSE

    def _unreadable(self, problem: Disconnected) -> None:
        now = self._world.monotonic()
        if now < self._not_before:
            return
        if isinstance(problem, OverLimit):
            self._not_before = now + _BUSY_WAIT
            return
        self._failures += 1
        backoff = _LASTING if problem.lasting else _UNREADABLE
        pause = backoff.pause(self._failures, self._world.chance())
        self._not_before = now + pause
        self._world.tell(SourceFailed(self._mapping, problem.code, problem.reason, pause))

    def _readable_again(self) -> None:
        if self._failures:
            self._failures = 0
            self._world.tell(SourceRecovered(self._mapping))

    # Sending

    async def _dispatch(self, work: asyncio.TaskGroup) -> None:
        while not self._stop.is_set():
            due = due_in(
                self._custody.waiting, self._rule, self._world.monotonic(), room_is_full=self._memory.full
            )
            if due == 0 and self._dispatcher.open:
                self._dispatcher.in_flight += 1
                work.create_task(self._deliver(self._custody.take(self._rule)))
            elif due == 0 and (overstayed := self._overstayed()) <= 0:
                await self._give_back_oldest()
            else:
                await self._sendable.heard(overstayed if due == 0 else due)
        await self._reads_over.wait()
        await self._custody.give_back(self._custody.waiting.clear(), "stopping")

    async def _deliver(self, batch: list[Record]) -> None:
        try:
            await self._delivery.deliver(batch)
        finally:
            self._dispatcher.in_flight -= 1
            self._custody.unlock(batch)
            self._wake()

    def _overstayed(self) -> float:
        """Seconds until what waits has been held too long without a chance to be sent."""
        return self._custody.waiting.oldest_read + self._options.max_hold - self._world.monotonic()

    async def _give_back_oldest(self) -> None:
        batch = self._custody.take(self._rule)
        await self._custody.give_back(batch, "held too long")
        self._custody.unlock(batch)

    # Upkeep

    async def _keep(self) -> None:
        while True:
            await self._extendable.heard(self._custody.next_extension())
            await self._custody.extend()

    async def _measure(self) -> None:
        while isinstance(self._reader, Measured):
            try:
                backlog = await self._reader.backlog()
            except Disconnected:
                pass
            else:
                self._world.tell(QueueDepth(self._mapping, backlog.visible, backlog.in_flight))
            await asyncio.sleep(_DEPTH_EVERY)
