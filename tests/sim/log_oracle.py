"""What must be true of a log mapping, seen from outside: from log, function, destination and store.

The engine's own counters are never asked. A record is finished when the function has succeeded on it, when a
destination has it, when it is filtered, or when the log has trimmed it.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from esm.checkpoint import Checkpoint, LaneRow
from esm.testing.group.fake import FakeGroup
from esm.testing.log.fake import Entry, FakeLog
from sim.history import must

FILTERED = "drop-me"
"""The key that no filter lets pass."""

THIEF = "thief"
"""Whoever takes rows away."""


@dataclass(slots=True)
class LogOracle:
    """Checked while it happens and at the end. `cuts` counts what cuts off calls: crashes, lost leases.

    `forgets`: there is no room for what is settled above the mark, so what was given up may come again.
    """

    log: FakeLog | FakeGroup
    most: int
    factor: int = 1
    retries: int | None = None
    whole_lane: bool = False
    exact_budget: bool = True
    forgets: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    by_key: dict[tuple[str, str], list[Entry]] = field(default_factory=lambda: defaultdict(list))
    by_shard: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failures: Counter[tuple[str, ...]] = field(default_factory=Counter)
    answered: Counter[tuple[str, ...]] = field(default_factory=Counter)
    active: Counter[str] = field(default_factory=Counter)
    newest: dict[tuple[str, str], Entry] = field(default_factory=dict)
    last: dict[tuple[str, str], Entry] = field(default_factory=dict)
    batches: int = 0
    cuts: int = 0

    def accepted(self, entry: Entry) -> None:
        """The log has it, so it must not be lost."""
        shard = entry.id.partition(":")[0]
        self.parents.setdefault(shard, self.log.shards[shard].parents)
        self.entries[entry.id] = entry
        self.by_shard[shard].append(entry)
        if not entry.too_large:
            self.by_key[shard, self._key(entry)].append(entry)
        if entry.key == FILTERED:
            self.finished.add(entry.id)

    def gone(self, entries: list[Entry]) -> None:
        """Trimmed, or from before the mapping's start: nobody waits for it."""
        self.finished.update(entry.id for entry in entries)

    def starts(self, ids: list[str]) -> None:
        """The function is given these."""
        shard = ids[0].partition(":")[0]
        self.batches += 1
        self.active[shard] += 1
        must(self.batches <= self.most, "more batches at the target than there are slots")
        must(self.active[shard] <= self.factor, "more batches of a lane than its factor")
        must(len(set(ids)) == len(ids), "a batch holds a record twice")
        must(ids == sorted(ids) and all(id_.partition(":")[0] == shard for id_ in ids), "a batch out of order")
        self._in_order(shard, ids)
        self._after_parents(shard)
        self.failures[tuple(ids)] += 1
        if self.retries is not None and not self.forgets:
            most = self.retries + 1 + self.cuts
            must(self.failures[tuple(ids)] <= most, f"{ids} delivered more often than {most} times")

    def answers(self, ids: list[str]) -> None:
        """The call was not cut off."""
        self.answered[tuple(ids)] += 1

    def ends(self, ids: list[str], succeeded: list[str], *, seen: bool = True) -> None:
        """The function, or what waited for it, is over; `seen`: what it saw last is to be the newest."""
        self.batches -= 1
        self.active[ids[0].partition(":")[0]] -= 1
        if succeeded:
            self.failures[tuple(ids)] -= 1
        self.finished.update(succeeded)
        for entry in (self.entries[id_] for id_ in succeeded if seen):
            key = ids[0].partition(":")[0], entry.key
            self.last[key] = entry
            self.newest[key] = max(entry, self.newest.get(key, entry), key=lambda each: each.position)

    def given_up(self, ids: list[str], condition: str) -> None:
        """A destination has them."""
        self.finished.update(ids)
        for entry in (self.entries[id_] for id_ in ids):
            key = ids[0].partition(":")[0], entry.key
            if self.newest.get(key) == entry:  # it succeeded once, and failed when it came again
                self.newest[key] = self.last[key]
        if condition == "RetryAttemptsExhausted" and self.exact_budget:
            must(self.retries is not None, f"{ids} given up although there is no limit")
            least = (self.retries or 0) + 1 - self.cuts
            must(self.failures[tuple(ids)] >= least, f"{ids} given up before {least} deliveries")
            cut_twice = self.failures[tuple(ids)] > 1 or self.cuts > 2  # a crash may come just before the call
            must(self.answered[tuple(ids)] or cut_twice, f"{ids} given up on one crash alone")

    def committed(self, row: LaneRow) -> None:
        """A store has it."""
        must(row.owner != THIEF, f"{row.lane} is not ours to write")
        checkpoint = row.checkpoint
        if checkpoint is None:
            return
        for entry in self.by_shard[row.lane]:
            if is_settled(checkpoint, entry.position):
                must(entry.id in self.finished, f"{entry.id} committed before it was finished: {checkpoint}")

    def at_the_end(self) -> None:
        lost = sorted(self.entries.keys() - self.finished)
        must(not lost, f"lost: {lost}")
        stale = [key for key, newest in self.newest.items() if self.last[key] != newest]
        must(not stale, f"what the function saw last of {stale} is not the newest")
        must(self.batches == 0, "a batch never ended")

    def _key(self, entry: Entry) -> str:
        return "" if self.whole_lane else entry.key

    def _in_order(self, shard: str, ids: list[str]) -> None:
        """Whatever came earlier under its key is finished, or earlier in this batch."""
        before: set[str] = set()
        for id_ in ids:
            entry = self.entries[id_]
            must(entry.key != FILTERED, f"{id_} should have been filtered")
            line = self.by_key[shard, self._key(entry)]
            while line and line[0].id in self.finished:
                line.pop(0)
            for other in line:
                if other.position >= entry.position:
                    break
                must(other.id in self.finished or other.id in before, f"{id_} overtook {other.id}")
            before.add(id_)

    def _after_parents(self, shard: str) -> None:
        for parent in self.parents[shard]:
            left = [entry.id for entry in self.by_shard[parent] if entry.id not in self.finished]
            must(not left, f"a record of {shard} before {left} of its parent")
            if parent in self.parents:
                self._after_parents(parent)


def is_settled(checkpoint: Checkpoint, position: int) -> bool:
    """Whether a checkpoint says that nothing is left to do about this position."""
    return (
        checkpoint.ended
        or (checkpoint.at is not None and position <= checkpoint.at)
        or any(span.part is None and span.first <= position <= span.last for span in checkpoint.spans)
    )
