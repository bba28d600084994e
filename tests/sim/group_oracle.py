"""What must be true of a topic's mapping over several engines, seen from group, function and destination.

Whoever is given a partition begins behind what is committed. So a record may be delivered again only if it was
under way when its partition was lost, or finished and not committed then; each such record is noted when that
happens.
"""

from dataclasses import dataclass, field

from esm.checkpoint import LaneRow
from esm.core.log.packing import unpack
from esm.sources.kafka.start import without_origin
from esm.testing.group.fake import FakeGroup, FakeMember, Position
from esm.testing.log.fake import Entry
from sim.history import must
from sim.log_oracle import FILTERED, LogOracle, is_settled


@dataclass(slots=True)
class GroupOracle:
    """Checked while it happens, over the oracle of a log. `calm`: nothing goes wrong but that partitions move."""

    group: FakeGroup
    records: LogOracle
    calm: bool = False
    excused: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    blind: set[str] = field(default_factory=set)
    latest: bool = False
    old: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    moment: float | None = None

    def accepted(self, entry: Entry) -> None:
        """A partition has it. What no filter lets pass is finished by that."""
        self.records.accepted(entry)
        if entry.key == FILTERED:
            self.elsewhere.add(entry.id)

    def long_ago(self) -> None:
        """The mapping begins with what comes, so what is there already is nothing to it."""
        self.latest, self.old = True, set(self.records.entries)
        self.elsewhere |= self.old

    def starts(self, ids: list[str], since: int | None) -> None:
        """The engine that was given the partition under that number gives the function these."""
        again = [id_ for id_ in ids if id_ in self.records.finished and id_ not in self.excused | self.elsewhere]
        must(not self.old.intersection(ids), f"{ids}: from before the mapping began")
        must(not again or not self._is_current(since, ids), f"{again} were finished and committed, and come again")
        self.records.starts(ids)

    def ends(self, ids: list[str], succeeded: list[str], since: int | None) -> None:
        """The function is over. What somebody told it who has lost the partition is nothing it saw last."""
        current = self._is_current(since, ids)
        if not current or ids[0].partition(":")[0] in self.blind:
            self.excused.update(succeeded)
        if (later := set(succeeded)) and len(later) < len(ids):
            self._own_word(ids, later)
        self.records.ends(ids, succeeded, seen=current and len(succeeded) == len(ids))

    def committed(self, member: FakeMember, lane: str, position: Position) -> None:
        """The coordinator took a commit."""
        must(self.group.owners.get(lane) is member, f"{lane} is not {member.name}'s to commit")
        self.blind.discard(lane)
        if self.latest and lane not in self.begun:
            self._begins(lane, position.offset)
        row = unpack(without_origin(position.text), "id", lane, position.offset - 1)
        must(isinstance(row, LaneRow), "a text that nobody can read")
        if isinstance(row, LaneRow):
            self.records.committed(row)

    def ended(self, _member: FakeMember, lane: str, clean: bool) -> None:  # noqa: FBT001 -- as the group says it
        """A partition was given back, or lost."""
        left = self.uncommitted(lane)
        must(
            not (set(left) - self.elsewhere and clean and self.calm),
            f"{left} were finished, and {lane} given back without a commit",
        )
        self.excused.update(set(left) - self.elsewhere)
        if not clean or self._may_be_unwritten:
            self.records.cuts += 1

    def uncommitted(self, lane: str) -> list[str]:
        """What is finished, and nobody knows who comes next."""
        position = self.group.position(lane)
        row = unpack(without_origin(position.text), "id", lane, position.offset - 1)
        checkpoint = row.checkpoint if isinstance(row, LaneRow) else None
        return [
            entry.id
            for entry in self.records.by_shard[lane]
            if entry.id in self.records.finished
            and (checkpoint is None or not is_settled(checkpoint, entry.position))
        ]

    def cut_off(self, ids: list[str]) -> None:
        """A call was given up by whoever waited for it."""
        must(not self.calm, f"{ids} were cut off, and there was time")
        self.records.cuts += 1

    def text_lost(self, lane: str) -> None:
        """Until the next commit nobody can know what is finished above the offset."""
        self.blind.add(lane)
        self.excused.update(self.uncommitted(lane))

    def gone(self, entries: list[Entry]) -> None:
        """Trimmed, perhaps after it was read: nobody asks whether it was delivered."""
        self.records.gone(entries)
        self.elsewhere.update(entry.id for entry in entries)

    def given_up(self, ids: list[str], condition: str) -> None:
        """A destination has them, from whoever had the partition when it was asked."""
        self.records.given_up(ids, condition)
        self.elsewhere.update(ids)

    def _begins(self, lane: str, offset: int) -> None:
        """What came before the mapping had begun anywhere may be passed over; nothing later."""
        self.begun.add(lane)
        now = self.group.epoch + self.group.now()
        self.moment = now if self.moment is None else self.moment
        skipped = [each for each in self.records.by_shard[lane] if each.position < offset]
        skipped = [each for each in skipped if each.id not in self.records.finished]
        late = [each.id for each in skipped if each.arrived > self.moment]
        must(not late, f"{late} came when the mapping had begun, and are passed over")
        self.gone(skipped)

    @property
    def _may_be_unwritten(self) -> bool:
        """Who gave a partition back may have found nobody to take its last commit."""
        faults = ("commit refused", "commit answer lost", "slow call")
        return self.group.is_away or any(self.group.faults.rates.get(kind) for kind in faults)

    def _own_word(self, ids: list[str], succeeded: set[str]) -> None:
        """Within a batch the function may do a later record of a key before an earlier one."""
        keys = {self.records.entries[id_].key for id_ in ids}
        for key in keys:
            self.records.newest.pop((ids[0].partition(":")[0], key), None)

    def _is_current(self, since: int | None, ids: list[str]) -> bool:
        return self.group.since.get(ids[0].partition(":")[0]) == since
