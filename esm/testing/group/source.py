"""The adapter over a `FakeGroup` that the engine drives, with faults and a switch that stops the whole process.

What it promises is what the port says: a write is refused for a lane that is not ours any more, whatever the
coordinator would take; what was lost and came back is left out in between.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from esm.checkpoint import LaneRow, Position
from esm.core.log.packing import Newer, pack, unpack
from esm.core.partial import offset_id
from esm.errors import Awaited, Disconnected, LostLease, StoreFailed
from esm.model import Lane, LogPage, Record, Rejected
from esm.testing.faults import Faults
from esm.testing.group import fake
from esm.testing.group.fake import Beginning, FakeGroup, FakeMember, Fenced
from esm.testing.log.fake import Entry, FakeLogCodec, Shard


class Process:
    """What an engine runs in. While it is stopped nothing gets in or out of it, and its timers go on."""

    def __init__(self) -> None:
        self._runs = asyncio.Event()
        self._runs.set()

    def stop(self) -> None:
        """As SIGSTOP does."""
        self._runs.clear()

    def go_on(self) -> None:
        """As SIGCONT does."""
        self._runs.set()

    @property
    def runs(self) -> bool:
        """It is not stopped."""
        return self._runs.is_set()

    async def running(self) -> None:
        """Returns once it runs."""
        await self._runs.wait()


class FakeGroupRows:
    """A group's positions as rows. A group compares nothing: whoever may write overwrites what is there."""

    def __init__(self, link: "Link") -> None:
        self._link = link
        self._seen: dict[str, tuple[int, LaneRow]] = {}

    async def view(self, scope: str) -> Collection[LaneRow]:
        link = self._link
        await link.reach("positions unreadable")
        await link.latency()
        return [self._known(scope, lane) for lane in link.member.told if link.may_write(lane)]

    async def swap(self, old: LaneRow | None, new: LaneRow) -> bool:
        link = self._link
        await link.reach("commit refused")
        if not link.may_write(new.lane):
            raise LostLease(f"{new.lane} is not ours any more")
        if old is None or _version(old) != _version(self._known(new.scope, new.lane)):
            return False
        at = -1 if new.checkpoint is None or new.checkpoint.at is None else new.checkpoint.at
        try:
            link.group.commit(link.member, new.lane, fake.Position(at + 1, pack(new)))
        except Fenced:
            link.fenced()
            raise LostLease(f"{new.lane}: no member any more") from None
        link.group.began = link.group.began or link.began
        self._seen.pop(new.lane, None)
        await link.latency()
        if link.faults.hit("commit answer lost"):
            raise StoreFailed("the answer was lost on its way")
        self._seen[new.lane] = link.member.told.get(new.lane, 0), new
        return True

    async def forget(self, row: LaneRow) -> bool:
        """A group forgets by itself."""
        return row.lane not in self._link.member.told

    def _known(self, scope: str, lane: str) -> LaneRow:
        """As we wrote it last; read once when the lane has become ours, or when an answer was lost."""
        since = self._link.member.told[lane]
        if lane not in self._seen or self._seen[lane][0] != since:
            self._seen[lane] = since, self._read(scope, lane)
        return self._seen[lane][1]

    def _position(self, lane: str) -> fake.Position:
        """The group's; before it has any, the beginning or, if the mapping begins with what comes, that."""
        link, server = self._link, self._link.group
        if not link.latest or lane in server.positions:
            return server.position(lane)
        now = Beginning(server.epoch + server.now(), len(server.shards))
        link.began = server.began or link.began or now
        return fake.Position(server.since_beginning(lane, link.began))

    def _read(self, scope: str, lane: str) -> LaneRow:
        position = self._position(lane)
        row = unpack(position.text, scope, lane, position.offset - 1)
        if isinstance(row, Newer):
            raise StoreFailed(f"{lane}: format {row.format}")
        return row


class FakeTopicReader:
    """The adapter over one partition; every call takes a little virtual time."""

    def __init__(self, link: "Link", shard: Shard, after: Position) -> None:
        self._link = link
        self._shard = shard
        self._after = after
        self._seq = 0

    async def read(self, limit: int, wait: float) -> LogPage:
        link = self._link
        await link.latency()
        if link.faults.hit("read fails"):
            raise Awaited("unreachable", "scripted")
        until = link.group.now() + wait
        while self._page(limit) is None and (left := until - link.group.now()) > 0:
            try:
                async with asyncio.timeout(left):
                    await link.group.changed.wait()
            except TimeoutError:
                continue
        await link.latency()
        return self._read_on(self._page(limit) or LogPage(behind=0.0))

    def _page(self, limit: int) -> LogPage | None:
        """What there is; nothing of a partition that is not ours any more."""
        if self._shard.name not in self._link.member.held:
            return None
        kept = self._shard.entries[self._shard.trimmed :]
        left = [entry for entry in kept if entry.position > self._after]
        gone = [entry for entry in self._shard.entries[: self._shard.trimmed] if entry.position > self._after]
        if not left and not gone:
            return None
        entries = left[:limit]
        small = [(place, entry) for place, entry in enumerate(entries) if not entry.too_large]
        large = [(place, entry) for place, entry in enumerate(entries) if entry.too_large]
        return LogPage(
            records=tuple(self._record(entry, place) for place, entry in small),
            rejected=tuple(Rejected(self._record(entry, place), "scripted") for place, entry in large),
            upto=entries[-1].position if entries else gone[-1].position,
            behind=float(len(left) - len(entries)),
            lost=len(gone),
        )

    def _read_on(self, page: LogPage) -> LogPage:
        self._seq += len(page.records) + len(page.rejected)
        self._after = self._after if page.upto is None else page.upto
        return page

    def _record(self, entry: Entry, place: int) -> Record:
        return Record(
            seq=self._seq + 1 + place,
            id=offset_id(self._shard.name, entry.position),
            key=entry.key,
            arrived=entry.arrived,
            read=self._link.group.now(),
            event=b'"%b"' % entry.id.encode(),
            handle=None,
            position=entry.position,
        )


@dataclass(slots=True)
class Link:
    """Between one member and its group. `latest`: the mapping begins with what comes."""

    group: FakeGroup
    faults: Faults
    process: Process
    member: FakeMember
    latest: bool
    began: Beginning | None = None
    rows: FakeGroupRows = field(init=False)

    def __post_init__(self) -> None:
        self.rows = FakeGroupRows(self)

    def may_write(self, lane: str) -> bool:
        """The engine works on what is ours now."""
        return self.member.may_write(lane)

    def fenced(self) -> None:
        """We are told that we are no member, and join anew."""
        self.member.lose_all()
        self.group.admit(self.member)

    async def beat(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(fake.HEARTBEAT)
            await self.process.running()
            try:
                self.group.beat(self.member)
            except Fenced:
                self.fenced()

    async def lanes(self) -> AsyncIterator[Collection[Lane]]:
        shown: dict[str, int] | None = None
        member = self.member
        while True:
            await self.process.running()
            if self.faults.hit("membership fails"):
                raise Disconnected("unreachable", "scripted")
            changed, visible = member.changed, member.visible()
            if visible != shown:
                member.told |= visible
                yield [Lane(name) for name in visible]
                await self.process.running()
                member.told, shown = visible, visible
                member.wake()
            else:
                await changed.wait()

    @asynccontextmanager
    async def open(self, lane: Lane, after: Position | None) -> AsyncIterator[FakeTopicReader]:
        await self.latency()
        if self.faults.hit("open fails"):
            raise Disconnected("unreachable", "scripted")
        yield FakeTopicReader(self, self.group.shards[lane.name], -1 if after is None else after)

    async def reach(self, fault: str) -> None:
        """To the coordinator."""
        await self.latency()
        if self.group.is_away or self.faults.hit(fault):
            raise StoreFailed("scripted")

    async def latency(self) -> None:
        """A call takes a little, and does not begin or end while the process is stopped."""
        await self.process.running()
        await asyncio.sleep(self.faults.chance.uniform(0.001, 3.0 if self.faults.hit("slow call") else 0.02))
        await self.process.running()


class FakeGroupSource:
    """One engine's source. `drain` is how long it lets lanes finish that are taken away."""

    codec = FakeLogCodec()

    def __init__(
        self, group: FakeGroup, faults: Faults, name: str = "member", *, drain: float = 5.0, latest: bool = False
    ) -> None:
        self.drain = drain
        self._latest = latest
        self.process = Process()
        self.member: FakeMember | None = None
        self._group = group
        self._faults = faults
        self._name = name

    @asynccontextmanager
    async def join(self) -> AsyncIterator[Link]:
        """A member that is cancelled has no time to leave."""
        await self.process.running()
        if self._group.is_away or self._faults.hit("join fails"):
            raise Disconnected("unreachable", "scripted")
        if not self._group.shards:
            raise Disconnected("UnknownTopicOrPartition", "there is no such topic", lasting=True)
        member = self.member = FakeMember(self._name)
        link = Link(self._group, self._faults, self.process, member, self._latest)
        self._group.admit(member)
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(link.beat())
            try:
                yield link
            except asyncio.CancelledError:
                raise
            except BaseException:
                self._group.dismiss(member, clean=False)
                raise
            else:
                self._group.dismiss(member, clean=True)
            finally:
                beating.cancel()


def _version(row: LaneRow) -> tuple[str, int, int]:
    return row.owner, row.epoch, row.counter
