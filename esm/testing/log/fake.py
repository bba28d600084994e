"""A log that lives in memory on the engine's clock, with shards that split and merge, and faults on demand.

`FakeLog` is the server: shards with positions that only grow, closed ones with children, records that are trimmed
from the front. `FakeLogSource` is the adapter the engine drives. The `Faults` of `esm.testing.faults` decide, by a
seeded chance, what goes wrong between the two.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from esm.checkpoint import Position, Start
from esm.errors import Disconnected, LaneGone
from esm.model import Lane, LogPage, Record, Rejected
from esm.testing.faults import Faults


@dataclass(frozen=True, slots=True)
class Entry:
    """One record as the server keeps it; `too_large` records cannot be sent by anybody."""

    id: str
    position: Position
    key: str
    arrived: float
    too_large: bool = False


@dataclass(slots=True)
class Shard:
    """One shard; `trimmed` of its records are gone from the front."""

    name: str
    parents: tuple[str, ...] = ()
    entries: list[Entry] = field(default_factory=list)
    trimmed: int = 0
    closed: bool = False
    children: list[str] = field(default_factory=list)
    first: Position | None = None

    @property
    def lane(self) -> Lane:
        return Lane(self.name, self.parents, self.first)


class FakeLog:
    """The server. `now` is the engine's monotonic clock; `epoch` is what its zero is in wall time.

    `tells_children`: the end of a shard names its children, as Kinesis does.
    """

    def __init__(self, now: Callable[[], float], *, epoch: float = 0.0, tells_children: bool = True) -> None:
        self.now = now
        self.epoch = epoch
        self.tells_children = tells_children
        self.shards: dict[str, Shard] = {}
        self.changed = asyncio.Event()
        self._position = 0
        self._made = 0
        self.add()

    def add(self, *parents: str) -> Shard:
        """A new shard; its parents are closed, and know it."""
        shard = Shard(f"s{self._made:02d}", parents, first=self._position + 1)
        self._made += 1
        self.shards[shard.name] = shard
        for parent in parents:
            self.shards[parent].closed = True
            self.shards[parent].children.append(shard.name)
        self.wake()
        return shard

    def put(self, shard: str, key: str, *, too_large: bool = False) -> Entry:
        """Accepts one record; its id tells its shard, number and key."""
        self._position += 3
        entries = self.shards[shard].entries
        id_ = f"{shard}:{len(entries):05d}:{key}"
        entry = Entry(id_, self._position, key, self.epoch + self.now(), too_large)
        entries.append(entry)
        self.wake()
        return entry

    def split(self, shard: str) -> tuple[Shard, Shard]:
        """Closes a shard that two others go on for."""
        return self.add(shard), self.add(shard)

    def open_shards(self) -> list[str]:
        """Those that take records."""
        return [name for name, shard in self.shards.items() if not shard.closed]

    def trim(self, shard: str, count: int) -> list[Entry]:
        """Takes the oldest records away, as the end of retention does; returns what is gone by that."""
        kept = self.shards[shard]
        before, kept.trimmed = kept.trimmed, min(len(kept.entries), kept.trimmed + count)
        return kept.entries[before : kept.trimmed]

    def forget(self, shard: str) -> None:
        """A closed shard leaves the listing with everything in it."""
        del self.shards[shard]
        self.wake()

    def begin_anew(self) -> Shard:
        """The stream is deleted and made anew: names of shards begin again, positions do not."""
        self.shards.clear()
        self._made = 0
        return self.add()

    def wake(self) -> None:
        """Whoever waits for a change looks again."""
        self.changed.set()
        self.changed = asyncio.Event()


class FakeLogReader:
    """The adapter over one shard; every call takes a little virtual time."""

    def __init__(self, log: FakeLog, shard: str, faults: Faults, next_: int) -> None:
        self._log = log
        self._name = shard
        self._faults = faults
        self._next = next_
        self._seq = 0

    async def read(self, limit: int, wait: float) -> LogPage:
        await self._latency()
        if self._faults.hit("read fails"):
            raise Disconnected("unreachable", "scripted")
        if self._faults.hit("denied"):
            raise Disconnected("AccessDeniedException", "scripted", lasting=True)
        until = self._log.now() + wait
        while not (page := self._page(limit)) and (left := until - self._log.now()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._log.changed.wait()
            except TimeoutError:
                continue
        await self._latency()
        page = self._page(limit) or LogPage(behind=0.0)
        if self._faults.hit("answer lost"):
            raise Disconnected("unreachable", "the answer was lost on its way")
        return self._read_on(page)

    def _page(self, limit: int) -> LogPage | None:
        """What there is; its records are numbered when the read is sure to succeed."""
        shard = self._log.shards.get(self._name)
        if shard is None:
            raise LaneGone("ResourceNotFoundException", "the shard is gone")
        lost = max(0, shard.trimmed - self._next)
        entries = shard.entries[self._next + lost : self._next + lost + limit]
        ended = shard.closed and self._next + lost + len(entries) == len(shard.entries)
        if not entries and not ended and not lost:
            return None
        children = tuple(self._log.shards[name].lane for name in shard.children if name in self._log.shards)
        return LogPage(
            records=tuple(
                self._record(entry, place) for place, entry in enumerate(entries) if not entry.too_large
            ),
            rejected=tuple(
                Rejected(self._record(entry, place), "scripted")
                for place, entry in enumerate(entries)
                if entry.too_large
            ),
            upto=entries[-1].position + 1 if entries and self._faults.hit("reads beyond") else None,
            ended=ended,
            children=children if ended and self._log.tells_children else None,
            behind=0.0 if ended else float(len(shard.entries) - self._next - len(entries)),
            lost=lost,
        )

    def _read_on(self, page: LogPage) -> LogPage:
        self._next += (page.lost or 0) + len(page.records) + len(page.rejected)
        self._seq += len(page.records) + len(page.rejected)
        return page

    def _record(self, entry: Entry, place: int) -> Record:
        return Record(
            seq=self._seq + 1 + place,
            id=entry.id,
            key=entry.key,
            arrived=entry.arrived,
            read=self._log.now(),
            event=b'"%b"' % entry.id.encode(),
            handle=None,
            position=entry.position,
        )

    async def _latency(self) -> None:
        await asyncio.sleep(self._faults.chance.uniform(0.001, 5.0 if self._faults.hit("slow call") else 0.02))


class FakeLogCodec:
    """A JSON list of ids: enough for a scripted target to know what it was given."""

    frame = 2

    def render(self, records: Sequence[Record]) -> bytes:
        return b"[" + b",".join(record.event for record in records) + b"]"

    def view(self, record: Record) -> Mapping[str, Any]:
        return {"id": record.id, "key": record.key}

    def describe(self, lane: Lane, records: Sequence[Record]) -> Mapping[str, Any]:
        return {"FakeBatchInfo": {"shardId": lane.name, "batchSize": len(records)}}


class FakeLogSource:
    """All shards of one `FakeLog`; listing and opening can fail too. `start` is where the mapping begins."""

    codec = FakeLogCodec()

    def __init__(self, log: FakeLog, faults: Faults, start: Start | None = None) -> None:
        self._log = log
        self._faults = faults
        self._start = Start() if start is None else start
        self._hidden: set[str] = set()

    def hide(self, shard: str) -> None:
        """From now on it is not listed, although it is there."""
        self._hidden.add(shard)
        self._log.wake()

    def show(self) -> None:
        """Everything that is there is listed again."""
        self._hidden.clear()
        self._log.wake()

    async def begin(self) -> Start:
        return self._start

    async def lanes(self) -> AsyncIterator[Collection[Lane]]:
        seen: list[Lane] | None = None
        while True:
            if self._faults.hit("listing fails"):
                raise Disconnected("LimitExceededException", "scripted")
            changed = self._log.changed
            lanes = [shard.lane for shard in self._log.shards.values() if shard.name not in self._hidden]
            if lanes != seen:
                seen = lanes
                yield lanes
            await changed.wait()
            await asyncio.sleep(10.0 if self._faults.hit("late listing") else 0.01)

    @asynccontextmanager
    async def open(self, lane: Lane, after: Position | Start) -> AsyncIterator[FakeLogReader]:
        if self._faults.hit("open fails"):
            raise Disconnected("unreachable", "scripted")
        shard = self._log.shards.get(lane.name)
        if shard is None:
            raise LaneGone("ResourceNotFoundException", "the shard is gone")
        yield FakeLogReader(self._log, lane.name, self._faults, _first(shard, after))


def _first(shard: Shard, after: Position | Start) -> int:
    """The index of the first record to read."""
    for index, entry in enumerate(shard.entries):
        if isinstance(after, Start):
            if after.time is None or entry.arrived >= after.time:
                return index
        elif entry.position > after:
            return index
    return len(shard.entries)
