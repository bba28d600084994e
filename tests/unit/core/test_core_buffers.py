"""The buffers: by hand where a rule has a name, and step by step against a model too simple to be wrong."""

from collections.abc import Iterable

import pytest
from core_records import PATIENT, ids, of_size, record
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from esm.core.buffers import Buffer, FlatBuffer, KeyedBuffer, size
from esm.model import Record

PLENTY = 10**9


def keyed(*keys: str) -> KeyedBuffer:
    """A buffer with m1, m2, … under these keys."""
    buffer = KeyedBuffer()
    buffer.extend(record(seq, key, read=float(seq)) for seq, key in enumerate(keys, 1))
    return buffer


def flat(count: int) -> FlatBuffer:
    buffer = FlatBuffer()
    buffer.extend(record(seq, read=float(seq)) for seq in range(1, count + 1))
    return buffer


def test_a_record_takes_its_fragment_and_a_separator() -> None:
    assert size(record(1, event=b"12345")) == 6


@pytest.mark.parametrize("buffer", [FlatBuffer(), KeyedBuffer()], ids=["flat", "keyed"])
def test_an_empty_buffer_has_nothing(buffer: Buffer) -> None:
    assert (len(buffer), buffer.ready, buffer.ready_bytes) == (0, 0, 0)
    assert buffer.take(10, PLENTY) == []
    assert buffer.remove([record(1, "a")]) == []
    assert buffer.clear() == []
    buffer.unlock([record(1, "a")])
    assert (len(buffer), buffer.ready, buffer.ready_bytes) == (0, 0, 0)


# Flat


def test_flat_is_first_come_first_served() -> None:
    buffer = flat(5)
    assert ids(buffer.take(2, PLENTY)) == ["m1", "m2"]
    assert buffer.oldest_read == 3.0
    assert ids(buffer.take(10, PLENTY)) == ["m3", "m4", "m5"]


def test_flat_removes_only_what_was_lost() -> None:
    buffer = flat(4)
    assert ids(buffer.remove([record(3), record(9), record(1)])) == ["m1", "m3"]
    assert ids(buffer.take(10, PLENTY)) == ["m2", "m4"]


def test_flat_hands_out_a_record_that_is_alone_too_large_by_itself() -> None:
    buffer = FlatBuffer()
    buffer.extend([of_size(1, 50), of_size(2, 5)])
    assert ids(buffer.take(10, 20)) == ["m1"]
    assert buffer.ready_bytes == 5


# Keyed


def test_a_taken_key_is_locked_until_its_batch_is_unlocked() -> None:
    buffer = keyed("a")
    batch = buffer.take(10, PLENTY)
    buffer.extend([record(2, "a", read=2.0)])
    assert (buffer.ready, buffer.ready_bytes, len(buffer)) == (0, 0, 1)
    assert buffer.take(10, PLENTY) == []
    buffer.unlock(batch)
    assert (buffer.ready, buffer.ready_bytes, buffer.oldest_read) == (1, 3, 2.0)
    assert ids(buffer.take(10, PLENTY)) == ["m2"]


def test_d23_a_batch_takes_whole_groups() -> None:
    """Three of a and two of b wait: a batch of four takes a alone, not half of b."""
    buffer = keyed("a", "b", "a", "b", "a")
    assert ids(buffer.take(4, PLENTY)) == ["m1", "m3", "m5"]
    assert ids(buffer.take(4, PLENTY)) == ["m2", "m4"]


def test_d23_by_bytes_too() -> None:
    buffer = KeyedBuffer()
    buffer.extend([of_size(1, 5, "a"), of_size(2, 5, "b"), of_size(3, 6, "b")])
    assert ids(buffer.take(10, 15)) == ["m1"]
    assert ids(buffer.take(10, 11)) == ["m2", "m3"]


def test_a_group_that_is_alone_too_large_is_split_and_its_rest_is_locked() -> None:
    buffer = keyed("a", "a", "a", "a", "a")
    batch = buffer.take(2, PLENTY)
    assert ids(batch) == ["m1", "m2"]
    assert (buffer.ready, len(buffer)) == (0, 3)
    buffer.unlock(batch)
    assert buffer.ready == 3
    assert ids(buffer.take(2, PLENTY)) == ["m3", "m4"]


def test_a_record_that_is_alone_too_large_goes_by_itself() -> None:
    buffer = KeyedBuffer()
    buffer.extend([of_size(1, 50, "a"), of_size(2, 5, "b")])
    assert ids(buffer.take(10, 20)) == ["m1"]
    assert ids(buffer.take(10, 20)) == ["m2"]


def test_several_keys_in_one_batch_stand_in_source_order() -> None:
    assert ids(keyed("a", "b", "a", "c", "b").take(10, PLENTY)) == ["m1", "m2", "m3", "m4", "m5"]


def test_the_oldest_key_goes_first_whether_it_is_new_or_was_unlocked() -> None:
    buffer = keyed("a", "a")
    batch = buffer.take(1, PLENTY)
    buffer.extend([record(3, "b", read=3.0)])
    assert (ids([*batch]), buffer.oldest_read) == (["m1"], 3.0)
    buffer.unlock(batch)
    assert buffer.oldest_read == 2.0
    assert ids(buffer.take(1, PLENTY)) == ["m2"]
    assert ids(buffer.take(1, PLENTY)) == ["m3"]


def test_a_lost_record_takes_all_that_waits_in_its_group_with_it() -> None:
    buffer = keyed("a", "b", "a")
    assert ids(buffer.remove([record(9, "a")])) == ["m1", "m3"]
    assert (len(buffer), buffer.ready, buffer.ready_bytes) == (1, 1, 3)
    buffer.extend([record(4, "a", read=4.0)])
    assert ids(buffer.take(1, PLENTY)) == ["m2"]
    assert ids(buffer.take(1, PLENTY)) == ["m4"]


def test_what_waits_behind_a_batch_can_be_removed_while_its_group_is_locked() -> None:
    buffer = keyed("a", "a")
    batch = buffer.take(1, PLENTY)
    assert ids(buffer.remove(batch)) == ["m2"]
    assert (len(buffer), buffer.ready, buffer.ready_bytes) == (0, 0, 0)
    buffer.unlock(batch)
    assert (len(buffer), buffer.ready, buffer.ready_bytes) == (0, 0, 0)


def test_unlocking_what_is_not_locked_changes_nothing_and_does_not_keep_the_rest_locked() -> None:
    buffer = keyed("a", "b", "c", "d", "e", "f")
    batch = buffer.take(3, PLENTY)
    buffer.extend([record(seq, key, read=float(seq)) for seq, key in ((7, "a"), (8, "b"), (9, "c"))])
    assert buffer.ready == 3
    for _ in range(2):
        buffer.unlock([record(0, "d"), record(0, "g"), *batch])
        assert (buffer.ready, buffer.ready_bytes) == (6, 18)


def test_clearing_returns_everything_in_order_and_leaves_the_locks() -> None:
    buffer = keyed("a", "b", "a", "c", "b")
    batch = buffer.take(2, PLENTY)
    assert ids(batch) == ["m1", "m3"]
    buffer.extend([record(6, "a", read=6.0)])
    assert ids(buffer.clear()) == ["m2", "m4", "m5", "m6"]
    assert (len(buffer), buffer.ready, buffer.ready_bytes) == (0, 0, 0)
    buffer.extend([record(7, "a", read=7.0)])
    assert (len(buffer), buffer.ready) == (1, 0)
    buffer.unlock(batch)
    assert ids(buffer.take(10, PLENTY)) == ["m7"]


class Model:
    """A list and a set of locked keys: what a keyed buffer is, without a thought for speed."""

    def __init__(self) -> None:
        self.waiting: list[Record] = []
        self.locked: set[str | None] = set()

    @property
    def ready(self) -> list[Record]:
        return [each for each in self.waiting if each.key not in self.locked]

    def take(self, limit: int, room: int) -> list[Record]:
        batch: list[Record] = []
        while self.ready:
            oldest = self.ready[0].key
            group = [each for each in self.waiting if each.key == oldest]
            fitting = fits(group, limit - len(batch), room)
            if len(fitting) < len(group) and batch:
                break
            fitting = fitting or group[:1]
            batch += fitting
            room -= sum(map(size, fitting))
            self.locked.add(oldest)
            self.waiting = [each for each in self.waiting if each not in fitting]
        return sorted(batch, key=lambda each: each.seq)

    def remove(self, keys: Iterable[str | None]) -> list[Record]:
        gone = [each for each in self.waiting if each.key in set(keys)]
        self.waiting = [each for each in self.waiting if each not in gone]
        return gone


def fits(group: list[Record], limit: int, room: int) -> list[Record]:
    count = max(
        n for n in range(len(group) + 1) if n <= max(limit, 0) and sum(map(size, group[:n])) <= max(room, 0)
    )
    return group[:count]


KEYS = st.sampled_from(["a", "b", "c", "d", None])


class KeyedMachine(RuleBasedStateMachine):
    """Reads, batches, settlements, losses and stops in any order; the model is asked after every step.

    Every record fits into the room: a source rejects what could never be sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.buffer = KeyedBuffer()
        self.model = Model()
        self.out: list[list[Record]] = []
        self.seq = 0

    @rule(page=st.lists(st.tuples(KEYS, st.integers(1, 12)), min_size=1, max_size=6))
    def read(self, page: list[tuple[str | None, int]]) -> None:
        records = []
        for key, bytes_ in page:
            self.seq += 1
            records.append(of_size(self.seq, bytes_, key))
        self.buffer.extend(records)
        self.model.waiting += records

    @rule(limit=st.integers(1, 6), room=st.integers(12, 40))
    def take(self, limit: int, room: int) -> None:
        waiting, ready = list(self.model.waiting), self.model.ready
        batch = self.buffer.take(limit, room)
        assert ids(batch) == ids(self.model.take(limit, room))
        assert bool(batch) == bool(ready)
        assert len(batch) <= limit
        assert sum(map(size, batch)) <= room or len(batch) == 1
        self._one_owner_and_whole_groups(batch, waiting, limit, room)
        if batch:
            assert batch[0] == ready[0]
            self.out.append(batch)

    def _one_owner_and_whole_groups(
        self, batch: list[Record], waiting: list[Record], limit: int, room: int
    ) -> None:
        owned = {each.key for other in self.out for each in other}
        for key in {each.key for each in batch}:
            assert key not in owned
            group = [each for each in waiting if each.key == key]
            taken = [each for each in batch if each.key == key]
            assert taken == group[: len(taken)]
            split = len(taken) < len(group)
            assert not split or len(group) > limit or sum(map(size, group)) > room

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        batch = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.buffer.unlock(batch)
        self.model.locked -= {each.key for each in batch}

    @rule(keys=st.sets(KEYS, max_size=3))
    def lose(self, keys: set[str | None]) -> None:
        found = self.buffer.remove([record(0, key) for key in keys])
        expected = self.model.remove(keys)
        assert sorted(ids(found)) == sorted(ids(expected))
        for key in keys:
            assert [each for each in found if each.key == key] == [each for each in expected if each.key == key]

    @rule()
    def stop(self) -> None:
        assert self.buffer.clear() == self.model.waiting
        self.model.waiting = []

    @invariant()
    def the_figures_are_exact(self) -> None:
        ready = self.model.ready
        assert len(self.buffer) == len(self.model.waiting)
        assert self.buffer.ready == len(ready)
        assert self.buffer.ready_bytes == sum(map(size, ready))
        if ready:
            assert self.buffer.oldest_read == ready[0].read

    def teardown(self) -> None:
        """Everything still in there comes out, once, in the order of its key."""
        while self.out:
            self.buffer.unlock(self.out.pop())
        rest: list[Record] = []
        while batch := self.buffer.take(3, 30):
            rest += batch
            self.buffer.unlock(batch)
        assert sorted(ids(rest)) == sorted(ids(self.model.waiting))
        for key in {each.key for each in rest}:
            assert [each for each in rest if each.key == key] == [
                each for each in self.model.waiting if each.key == key
            ]


class FlatMachine(RuleBasedStateMachine):
    """The same for the buffer without keys, whose model is a list."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = FlatBuffer()
        self.model: list[Record] = []
        self.seq = 0

    @rule(page=st.lists(st.integers(1, 12), min_size=1, max_size=6))
    def read(self, page: list[int]) -> None:
        records = [of_size(self.seq + place, bytes_) for place, bytes_ in enumerate(page, 1)]
        self.seq += len(page)
        self.buffer.extend(records)
        self.model += records

    @rule(limit=st.integers(1, 6), room=st.integers(12, 40))
    def take(self, limit: int, room: int) -> None:
        batch = self.buffer.take(limit, room)
        expected = fits(self.model, limit, room) or self.model[:1]
        assert batch == expected
        self.model = self.model[len(expected) :]
        self.buffer.unlock(batch)

    @rule(seqs=st.sets(st.integers(1, 30), max_size=5))
    def lose(self, seqs: set[int]) -> None:
        assert self.buffer.remove([record(seq) for seq in seqs]) == [
            each for each in self.model if each.seq in seqs
        ]
        self.model = [each for each in self.model if each.seq not in seqs]

    @rule()
    def stop(self) -> None:
        assert self.buffer.clear() == self.model
        self.model = []

    @invariant()
    def the_figures_are_exact(self) -> None:
        assert len(self.buffer) == self.buffer.ready == len(self.model)
        assert self.buffer.ready_bytes == sum(map(size, self.model))
        if self.model:
            assert self.buffer.oldest_read == self.model[0].read


TestKeyedBuffer = KeyedMachine.TestCase
TestFlatBuffer = FlatMachine.TestCase
TestKeyedBuffer.settings = settings(PATIENT, max_examples=60, stateful_step_count=30)
TestFlatBuffer.settings = settings(PATIENT, max_examples=30, stateful_step_count=20)
