"""What must be true of a mapping that follows a table, seen from the table, the function and the store."""

from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.dynamodb_table import FakeShard, FakeTable
from esm.checkpoint import LaneRow, Start
from esm.sources.dynamodb.lineage import lane_name
from sim.history import must
from sim.log_oracle import is_settled


@dataclass(slots=True)
class TableOracle:
    """Checked while it happens and at the end. Records are known by their sequence numbers, which only grow.

    What an item's records say must come in their order, through whatever shards and streams they went. `left_out`
    are from before the mapping's start.
    """

    table: FakeTable
    factor: int
    keys: dict[int, str] = field(default_factory=dict)
    arrived: dict[int, int] = field(default_factory=dict)
    by_key: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    finished: set[int] = field(default_factory=set)
    delivered: set[int] = field(default_factory=set)
    left_out: set[int] = field(default_factory=set)
    active: set[str] = field(default_factory=set)

    def accepted(self, key: str, number: str) -> None:
        """The table has it, so it must not be lost."""
        self.keys[int(number)] = key
        self.arrived[int(number)] = int(self.table.now())
        self.by_key[key].append(int(number))

    def begins(self, start: Start) -> None:
        """Nobody waits for what came before the second of this time."""
        if start.time is not None:
            self.gone([number for number, at in self.arrived.items() if at < int(start.time)])
            self.left_out.update(self.finished)

    def gone(self, numbers: list[int]) -> None:
        """Trimmed, or forgotten with their stream."""
        self.finished.update(numbers)

    def starts(self, ids: list[str]) -> None:
        """The function is given these."""
        numbers = [int(id_) for id_ in ids]
        must(not self.left_out.intersection(numbers), f"{ids} came before the mapping began")
        must(numbers == sorted(set(numbers)), "a batch out of order")
        must(self.active.isdisjoint({self.keys[each] for each in numbers}), "an item is at the function twice")
        before: set[int] = set()
        for number in numbers:
            self._in_order(number, before)
            before.add(number)
        self.active.update(self.keys[each] for each in numbers)
        must(len(self.active) <= len(self.by_key), "more items than there are")

    def answers(self, ids: list[str]) -> None:
        """The call was not cut off."""

    def ends(self, ids: list[str], succeeded: list[str]) -> None:
        """The function, or what waited for it, is over."""
        self.active.difference_update(self.keys[int(id_)] for id_ in ids)
        self.finished.update(int(id_) for id_ in succeeded)
        self.delivered.update(int(id_) for id_ in succeeded)

    def committed(self, row: LaneRow) -> None:
        """A store has it."""
        for lane, shard in self.shards().items():
            if row.checkpoint is not None and row.lane == lane:
                settled = {each for each in numbers_of(shard) if is_settled(row.checkpoint, each)}
                must(settled <= self.finished, f"{lane} committed before it was finished: {row.checkpoint}")

    def shards(self) -> dict[str, FakeShard]:
        """All that are there, by their lanes."""
        return {
            lane_name(stream.arn, shard.id): shard
            for stream in self.table.streams
            for shard in stream.shards.values()
        }

    @property
    def waiting(self) -> list[int]:
        """What is not finished."""
        return sorted(self.keys.keys() - self.finished)

    def _in_order(self, number: int, before: set[int]) -> None:
        """Whatever happened to its item earlier is finished, or earlier in this batch."""
        line = self.by_key[self.keys[number]]
        while line and line[0] in self.finished:
            line.pop(0)
        overtaken = [each for each in line if each < number and each not in self.finished and each not in before]
        must(not overtaken, f"{number} overtook {overtaken}")


def numbers_of(shard: FakeShard) -> list[int]:
    """The sequence numbers of a shard's records."""
    return [int(record["dynamodb"]["SequenceNumber"]) for record in shard.records]
