"""The reading half of a log lane: reads on while what was read can soon be sent, and fills the ledger.

It reads a little ahead of the workers. Beyond that it reads only to find keys that nobody holds, while workers
are free and within the process's memory: a stuck record blocks its key, and the lane only when the room is full
of what waits behind such records.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from esm.core.log.ledger import Ledger, weigh
from esm.core.log.parts import Owner
from esm.errors import Disconnected, LaneGone
from esm.model import Lane, LogPage
from esm.ports import LogReader
from esm.runtime.happenings import Filtered, Polled
from esm.runtime.lane_happenings import Crowded, RecordsLost
from esm.runtime.memory import Memory
from esm.runtime.plan import LogOptions
from esm.runtime.signals import Bell, Stop
from esm.runtime.source_health import ReadHealth
from esm.runtime.world import World

_EMPTY_PAUSE = 1.0
_LEAST_AHEAD, _MOST_AHEAD = 1_000, 10_000


@dataclass(slots=True)
class Feeder:
    """How one lane reads. `is_listed`: the source still lists it; `admitted` is called after each read."""

    mapping: str
    lane: Lane
    reader: LogReader
    ledger: Ledger
    memory: Memory
    options: LogOptions
    world: World
    stop: Stop
    idle_workers: Callable[[], int]
    is_listed: Callable[[], bool]
    admitted: Callable[[Sequence[Owner]], None]
    behind: float | None = field(default=None, init=False)
    end: int | None = field(default=None, init=False)
    children: Sequence[Lane] | None = field(default=None, init=False)
    asked: float | None = field(default=None, init=False)
    _bell: Bell = field(default_factory=Bell, init=False)
    _health: ReadHealth = field(init=False)
    _crowded: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._health = ReadHealth(self.mapping, self.world)

    def look_again(self) -> None:
        """Something left our hands, or a worker is free."""
        self._bell.ring()

    async def run(self) -> None:
        """Until the lane has ended or the stop comes."""
        while not self.stop.is_set() and not self.ledger.has_ended:
            if limit := self._limit():
                await self._read(limit)
            else:
                await self._bell.heard()

    def _limit(self) -> int:
        """How much to read now."""
        ahead = max(_LEAST_AHEAD, self.options.batch_size * (self.options.parallelization_factor + 1))
        if self.ledger.is_restoring:
            return min(ahead, _MOST_AHEAD)
        if not self._is_useful(ahead) or self._is_crowded():
            return 0
        room = self.memory.room
        if room < self.options.batch_size:
            self.memory.when_room(self._bell.ring)
        least = 0 if self.ledger.held_bytes else 1
        return min(ahead, _MOST_AHEAD, max(room, least))

    def _is_useful(self, ahead: int) -> bool:
        buffer = self.ledger.buffer
        if len(buffer) < ahead:
            return True
        others_may_be_free = self.options.parallelization_factor > 1 and self.idle_workers() > 0
        return others_may_be_free and buffer.ready < self.options.batch_size

    def _is_crowded(self) -> bool:
        crowded, oldest = self.ledger.is_crowded, self.ledger.oldest
        if crowded and not self._crowded and oldest is not None:
            past_mark = self.ledger.past_mark
            self.world.tell(Crowded(self.mapping, self.lane.name, oldest.id, oldest.key or "", past_mark))
        self._crowded = crowded
        return crowded

    async def _read(self, limit: int) -> None:
        started = self.world.monotonic()
        self.memory.expect(limit)
        page = LogPage()
        try:
            async with self.stop.limit(None):
                page = await self._asked(self.reader.read(limit, self.options.wait))
        except TimeoutError:
            if not self.stop.is_set():
                raise
        except Disconnected as problem:
            page = await self._unreadable(problem)
        else:
            self._health.succeeded()
            self._note(page)
        finally:
            self._admit(page)
            self.memory.arrived(limit)
        if page == LogPage(behind=page.behind, end=page.end) and not page.behind:
            await self.stop.within(max(0.0, started + _EMPTY_PAUSE - self.world.monotonic()))

    async def _asked(self, read: Awaitable[LogPage]) -> LogPage:
        """Notes since when the source owes an answer."""
        self.asked = self.world.monotonic()
        try:
            return await read
        finally:
            self.asked = None

    def _admit(self, page: LogPage) -> None:
        if page.lost != 0:
            self.world.tell(RecordsLost(self.mapping, self.lane.name, page.lost or 0))
        came = [*page.records, *(each.record for each in page.rejected)]
        size, before = weigh(came), self.ledger.held_bytes
        self.memory.hold(size, len(came))  # what no filter lets pass tells how large records are, too
        admitted = self.ledger.admit(page, self.world.wall())
        self.memory.free(size - (self.ledger.held_bytes - before))
        if admitted.filtered:
            self.world.tell(Filtered(self.mapping, admitted.filtered, ()))
        if page.ended:
            self.children = page.children
        self.admitted(admitted.owners)

    async def _unreadable(self, problem: Disconnected) -> LogPage:
        """Nothing, after a pause; the end, if the lane has gone for good with all that was in it."""
        if isinstance(problem, LaneGone) and not self.is_listed():
            self.world.tell(RecordsLost(self.mapping, self.lane.name, 0))
            return LogPage(ended=True)
        await self.stop.within(self._health.failed(problem))
        return LogPage()

    def _note(self, page: LogPage) -> None:
        self.behind, self.end = page.behind, page.end
        count = len(page.records) + len(page.rejected)
        now = self.world.wall()
        oldest = now - min([record.arrived for record in page.records], default=now)
        self.world.tell(Polled(self.mapping, count, max(0.0, oldest)))
