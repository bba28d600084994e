"""The reading half of a queue lane: opens reads while credit allows, and takes in what they bring.

Nothing is read that could not be sent soon. Credit is what free slots can take, and those that will be free
when the read is back, less what is gathered and what open reads may still bring, within the process's memory;
after a refusal it is one batch for a probe. How many reads are open at once follows the backlog. A read is
never cancelled by a stop: its messages would be hidden for a whole visibility timeout. What no filter lets pass
is deleted on the side and takes no credit.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from esm.core.queue import concurrency, reading
from esm.errors import Disconnected, OverLimit
from esm.model import Page, Record
from esm.ports import QueueReader
from esm.runtime.happenings import BackPressure, Polled
from esm.runtime.memory import Memory
from esm.runtime.plan import QueueOptions
from esm.runtime.queue.custody import Custody
from esm.runtime.queue.slots import Slots
from esm.runtime.sieve import Sieve
from esm.runtime.signals import Bell, Stop
from esm.runtime.source_health import ReadHealth
from esm.runtime.world import World

_BUSY_WAIT = 1.0
_EMPTY_PAUSE = 1.0
_OVER_LIMIT_PAUSE = 1.0
_MOST_DISCARDED = 1000  # filtered messages whose deletion is not over: a queue must not fill us with those


@dataclass(slots=True)
class Intake:
    """How one lane reads. `room` is the bytes of a batch; `admitted` is called after each read."""

    mapping: str
    reader: QueueReader
    custody: Custody
    sieve: Sieve
    slots: Slots
    memory: Memory
    options: QueueOptions
    room: int
    world: World
    stop: Stop
    admitted: Callable[[], None]
    over: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set when the last read has ended after a stop."""
    open_reads: int = field(default=0, init=False)
    _reserved: int = field(default=0, init=False)
    _discarding: int = field(default=0, init=False)
    _health: ReadHealth = field(init=False)
    _read_takes: float = field(default=0.0, init=False)
    _not_before: float = field(default=float("-inf"), init=False)
    _small_since: float = field(default=float("-inf"), init=False)
    _pollers: reading.Pollers = field(init=False)
    _bell: Bell = field(default_factory=Bell, init=False)

    def __post_init__(self) -> None:
        least, most = self.options.minimum_pollers, self.options.maximum_pollers
        self._pollers = reading.Pollers(least, most, least)
        self._health = ReadHealth(self.mapping, self.world)

    def look_again(self) -> None:
        """Something changed that may give credit: a slot, room, an answer."""
        self._bell.ring()

    async def run(self, work: asyncio.TaskGroup) -> None:
        """Reads until the stop, then waits for the reads that are open.

        `work` has the deletes of what is filtered: no read and no stop of the reading waits for them.
        """
        async with asyncio.TaskGroup() as reads:
            while not self.stop.is_set():
                limit, look_again = self._next_read()
                if limit:
                    self.open_reads += 1
                    self._reserved += limit
                    self.memory.expect(limit)
                    reads.create_task(self._receive(limit, work))
                else:
                    await self._bell.heard(look_again)
        self.over.set()

    def _next_read(self) -> tuple[int, float | None]:
        """How much to read now; if nothing, seconds after which it is worth looking again without a ring."""
        now = self.world.monotonic()
        if now < self._not_before:
            return 0, self._not_before - now
        if self.open_reads >= self._pollers.wanted or self._discarding >= _MOST_DISCARDED:
            return 0, None
        opens_in = self.slots.caller.shut_for  # before the credit: time goes on, and between the two it might open
        credit = self._credit()
        limit = reading.ask(
            credit,
            page=self._page,
            capacity=self._capacity,
            small_for=now - self._small_since,
        )
        if limit or credit <= 0:
            self._small_since = now
        return limit, reading.PATIENCE if credit > 0 else opens_in

    def _credit(self) -> int:
        """Records that could be sent soon if we had them."""
        gathered = len(self.custody.waiting) + self._reserved
        if self.custody.waiting.ready_bytes >= self.room * max(1, self.slots.free):
            return 0
        soon = 0 if self.reader.ordered else self.slots.ahead(self._capacity, self._read_takes)
        credit = self.slots.free * self.options.batch_size + soon - gathered
        return min(credit, self._room())

    @property
    def _capacity(self) -> int:
        """Records that all slots together can hold."""
        return self.slots.limit * self.options.batch_size

    @property
    def _page(self) -> int:
        """The most a read may bring; in order no more than a batch, because groups travel whole (D23)."""
        page = self.reader.terms.page
        return min(page, self.options.batch_size) if self.reader.ordered else page

    def _room(self) -> int:
        """Records the process has memory for; one always, while this lane holds nothing."""
        room = self.memory.room
        page = self.reader.terms.page
        if room < page:
            self.memory.when_room(self._bell.ring)
        return max(room, 0 if len(self.custody) or self._reserved else 1)

    async def _receive(self, limit: int, work: asyncio.TaskGroup) -> None:
        idle = not len(self.custody) and self.open_reads <= self.options.minimum_pollers
        started = self.world.monotonic()
        try:
            page = await self.reader.read(limit, self.options.wait if idle else _BUSY_WAIT)
        except Disconnected as problem:
            self._unreadable(problem)
        else:
            self._health.succeeded()
            self._learn(page, limit, started)
            if dropped := self.sieve.dropped(self.custody.new(page.records)):
                self._discarding += len(dropped)
                work.create_task(self._discard(dropped))
            await self.custody.admit(_without(page, dropped))
        finally:
            self.open_reads -= 1
            self._reserved -= limit
            self.memory.arrived(limit)
            self._bell.ring()
            self.admitted()

    async def _discard(self, records: Sequence[Record]) -> None:
        await self.custody.discard(records)
        self._discarding -= len(records)
        self._bell.ring()

    def _learn(self, page: Page, limit: int, started: float) -> None:
        """What an answer says: is there more, and how soon to ask again."""
        now = self.world.monotonic()
        count = len(page.records)
        oldest = self.world.wall() - min((record.arrived for record in page.records), default=self.world.wall())
        self.world.tell(Polled(self.mapping, count + len(page.rejected), max(0.0, oldest)))
        if count >= limit:
            self._read_takes = concurrency.smoothed(self._read_takes, now - started)
            self._pollers = self._pollers.full()
            self._more_waits(now)
        else:
            self._pollers = self._pollers.short()
            self.slots.quiet(now)
        if not self.custody.new(page.records) and now - started < _EMPTY_PAUSE:
            self._not_before = started + _EMPTY_PAUSE

    def _more_waits(self, now: float) -> None:
        """There is a backlog: slots are scarce if what is here by now takes all of them."""
        small = reading.worth_a_read(self._page, self._capacity)
        if self._credit() <= max(self.options.batch_size, small):
            self.slots.scarce(now)
        else:
            self.slots.busy(now)

    def _unreadable(self, problem: Disconnected) -> None:
        self._pollers = self._pollers.short()  # whoever refuses one read is not asked by thirty at once
        now = self.world.monotonic()
        if now < self._not_before:
            return
        if isinstance(problem, OverLimit):
            self._not_before = now + _OVER_LIMIT_PAUSE
            self.world.tell(BackPressure(self.mapping, problem.reason))
            return
        self._not_before = now + self._health.failed(problem)


def _without(page: Page, dropped: Sequence[Record]) -> Page:
    """The page less what was dropped."""
    if not dropped:
        return page
    ids = {record.id for record in dropped}
    return Page(tuple(record for record in page.records if record.id not in ids), page.rejected)
