"""A topic and its consumer group that live in memory on the engine's clock.

`FakeGroup` is the server: partitions whose offsets only grow, positions with a text beside them, and a coordinator
that shares the partitions out among its members, waits for those it takes away, and lets nobody commit who is not
a member any more. What a member knows lags behind that: `FakeMember` is its side of it, and the adapter that the
engine drives is in `esm.testing.group.source`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from esm.core.log.packing import ROOM
from esm.testing.faults import Faults
from esm.testing.log.fake import Entry, Shard

SESSION = 10.0
"""Seconds without a heartbeat after which a member is taken for dead."""

HEARTBEAT = 3.0


@dataclass(frozen=True, slots=True)
class Position:
    """What a group keeps for a partition: the offset of the next record, and a text."""

    offset: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is kept beside every position of a mapping that began with what came: when, and over how many."""

    time: float
    partitions: int


class Fenced(Exception):
    """Whoever asks is not a member any more."""


@dataclass(eq=False, slots=True)
class FakeMember:
    """A member as it sees itself: what it `held` since when, and what the engine was `told` of that.

    Each time a partition is given to it, it holds it under a new number.
    """

    name: str
    held: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)
    beaten: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Whoever waits for a change looks again."""
        self.changed.set()
        self.changed = asyncio.Event()

    def visible(self) -> dict[str, int]:
        """What the engine is to be told: nothing that leaves, and first without what came back."""
        return {
            lane: since
            for lane, since in self.held.items()
            if lane not in self.leaving and self.told.get(lane, since) == since
        }

    def may_write(self, lane: str) -> bool:
        """The engine works on what is held now, not on what was held before it was lost."""
        return lane in self.held and self.told.get(lane) == self.held[lane]

    def lose_all(self) -> None:
        """It has learnt that it is no member."""
        self.held.clear()
        self.leaving.clear()
        self.wake()

    async def gives_up(self, lanes: Collection[str], within: float) -> bool:
        """Asks for these back; True once the engine is done with them."""
        self.leaving.update(lanes)
        self.wake()
        try:
            async with asyncio.timeout(within):
                while any(lane in self.held and lane in self.told for lane in lanes):
                    await self.changed.wait()
        except TimeoutError:
            return False
        for lane in lanes:
            self.held.pop(lane, None)
            self.leaving.discard(lane)
        return True


class FakeGroup:
    """The server. `now` is the engine's clock, `epoch` what its zero is in wall time.

    `cooperative`: only what moves is taken away, otherwise everything from everybody. A member has `patience`
    seconds to give partitions back. `committed` is told of each commit and by whom; `ended` of each partition that
    was taken from a member, and whether it had given it back itself.
    """

    def __init__(
        self, now: Callable[[], float], faults: Faults, *, epoch: float = 0.0, partitions: int = 1,
        cooperative: bool = True, patience: float = 12.0,
    ) -> None:  # fmt: skip
        self.now, self.faults, self.epoch = now, faults, epoch
        self.cooperative, self.patience = cooperative, patience
        self.shards: dict[str, Shard] = {}
        self.positions: dict[str, Position] = {}
        self.members: dict[FakeMember, None] = {}
        self.owners: dict[str, FakeMember] = {}
        self.since: dict[str, int] = {}
        self.changed = asyncio.Event()
        self.away_until = 0.0
        self.began: Beginning | None = None
        self.committed: Callable[[FakeMember, str, Position], None] = lambda *_: None
        self.ended: Callable[[FakeMember, str, bool], None] = lambda *_: None
        self._assigned = 0
        self._traded: dict[str, FakeMember] = {}
        self._woken = asyncio.Event()
        for _ in range(partitions):
            self.add()

    # The topic

    def add(self) -> Shard:
        """One partition more; the group begins at its beginning."""
        shard = Shard(f"t-{len(self.shards)}")
        self.shards[shard.name] = shard
        self.kick()
        return shard

    def put(self, lane: str, key: str, *, skip: int = 0, too_large: bool = False) -> Entry:
        """Accepts one record, behind `skip` offsets that no consumer ever sees (compacted, or control records)."""
        offset = self.end(lane) + skip
        entry = Entry(f"{lane}:{offset:06d}:{key}", offset, key, self.epoch + self.now(), too_large)
        self.shards[lane].entries.append(entry)
        self.wake()
        return entry

    def trim(self, lane: str, count: int) -> list[Entry]:
        """Takes the oldest records away; returns what is gone by that."""
        kept = self.shards[lane]
        before, kept.trimmed = kept.trimmed, min(len(kept.entries), kept.trimmed + count)
        return kept.entries[before : kept.trimmed]

    def forget_text(self, lane: str) -> None:
        """Somebody sets the group's offset with a tool of his own, to where it is."""
        if lane in self.positions:
            self.positions[lane] = Position(self.positions[lane].offset)

    def wake(self) -> None:
        """Whoever waits for records looks again."""
        self.changed.set()
        self.changed = asyncio.Event()

    # The group

    @property
    def is_away(self) -> bool:
        """Nobody coordinates at the moment."""
        return self.now() < self.away_until

    def end(self, lane: str) -> int:
        """The offset that the next record of a partition will have, or one below it."""
        entries = self.shards[lane].entries
        return entries[-1].position + 1 if entries else 0

    def position(self, lane: str) -> Position:
        """What is kept for a partition; nothing stands for its beginning."""
        return self.positions.get(lane, Position(0))

    def since_beginning(self, lane: str, began: Beginning) -> int:
        """The offset of what came to a partition since then; everything, if it was added later."""
        place = list(self.shards).index(lane)
        if place >= began.partitions:
            return 0
        later = (entry.position for entry in self.shards[lane].entries if entry.arrived >= began.time)
        return next(later, self.end(lane))

    def commit(self, member: FakeMember, lane: str, position: Position) -> None:
        """Raises `Fenced`; whether the member has the partition is not asked, as by a real coordinator."""
        if member not in self.members:
            raise Fenced
        if len(position.text) > ROOM:
            raise ValueError(f"a text of {len(position.text)} characters")
        self.positions[lane] = position
        self.committed(member, lane, position)

    def admit(self, member: FakeMember) -> None:
        """A member joins."""
        member.beaten = self.now()
        self.members[member] = None
        self.kick()

    def dismiss(self, member: FakeMember, *, clean: bool) -> None:
        """It has left, or is taken for dead; its partitions are free."""
        if self.members.pop(member, member) is None:
            for lane in [lane for lane, owner in self.owners.items() if owner is member]:
                self._free(lane, clean=clean)
            self.kick()

    def beat(self, member: FakeMember) -> None:
        """Raises `Fenced`."""
        if member not in self.members:
            raise Fenced
        member.beaten = self.now()

    def trade(self, lane: str, other: str) -> bool:
        """The members that have these two are to have each other's; False if one has both, or nobody."""
        mine, yours = self.owners.get(lane), self.owners.get(other)
        if mine is None or yours is None or mine is yours:
            return False
        self._traded = {lane: yours, other: mine}
        self.kick()
        return True

    def kick(self) -> None:
        """Something changed that the coordinator has to see to."""
        self._woken.set()

    async def coordinate(self) -> None:
        """Until cancelled: buries the dead and shares out anew."""
        while True:
            try:
                async with asyncio.timeout(1.0):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            if self.is_away:
                for member in self.members:
                    member.beaten = self.now()
                continue
            for member in [each for each in self.members if self.now() - each.beaten > SESSION]:
                self.faults.fired["session over"] += 1
                self.dismiss(member, clean=False)
            await self._rebalance()

    async def _rebalance(self) -> None:
        wanted = shared_out(self.shards, self.members, self.owners)
        wanted |= {lane: owner for lane, owner in self._traded.items() if owner in self.members}
        self._traded = {}
        moved = [lane for lane, owner in self.owners.items() if wanted.get(lane) is not owner]
        if not moved and wanted == self.owners:
            return
        kind = "cooperative" if self.cooperative else "eager"
        self.faults.fired[kind] += 1
        taken = moved if self.cooperative else list(self.owners)
        for member in list(self.members):
            if mine := [lane for lane in taken if self.owners.get(lane) is member]:
                await self._take(member, mine)
        for lane, owner in wanted.items():
            if lane not in self.owners and owner in self.members:
                self._assigned += 1
                self.owners[lane] = owner
                owner.held[lane] = self.since[lane] = self._assigned
                owner.wake()
        if self.owners != wanted:
            self.kick()

    async def _take(self, member: FakeMember, lanes: list[str]) -> None:
        self.faults.fired["revoked"] += 1
        if await member.gives_up(lanes, self.patience):
            for lane in lanes:
                if self.owners.get(lane) is member:
                    self._free(lane, clean=True)
        else:
            self.faults.fired["revoke too slow"] += 1
            self.dismiss(member, clean=False)

    def _free(self, lane: str, *, clean: bool) -> None:
        del self.since[lane]
        self.ended(self.owners.pop(lane), lane, clean)


def shared_out(
    lanes: Collection[str], members: Collection[FakeMember], owners: Mapping[str, FakeMember]
) -> dict[str, FakeMember]:
    """Who should have which: as many for everybody, and as few moves as it takes."""
    if not members:
        return {}
    wanted = {lane: owner for lane, owner in owners.items() if owner in members}
    counts = Counter(dict.fromkeys(members, 0))
    counts.update(wanted.values())
    most = -(-len(lanes) // len(members))
    for lane, owner in sorted(wanted.items(), key=lambda each: each[0]):
        poorest = min(counts, key=lambda member: counts[member])
        if counts[owner] > most or counts[owner] > counts[poorest] + 1:
            counts[owner] -= 1
            counts[poorest] += 1
            wanted[lane] = poorest
    for lane in lanes:
        if lane not in wanted:
            wanted[lane] = min(counts, key=lambda member: counts[member])
            counts[wanted[lane]] += 1
    return wanted
