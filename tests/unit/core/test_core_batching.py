"""The three triggers of a batch, and the exact arithmetic of the payload limit."""

from dataclasses import dataclass

import pytest
from core_records import PATIENT, of_size, record
from hypothesis import given
from hypothesis import strategies as st

from esm.core.batching import PAYLOAD_LIMIT, BatchRule, due_in, room_for, share
from esm.core.buffers import Buffer, FlatBuffer, KeyedBuffer
from esm.sources.sqs.event import SqsCodec

RULE = BatchRule(size=10, room=1_000, window=5.0)


@dataclass(frozen=True)
class Waits:
    """What waits, by its figures."""

    ready: int
    ready_bytes: int = 0
    oldest_read: float = 100.0


def due(waits: Waits, now: float = 100.0, *, room_is_full: bool = False) -> float | None:
    return due_in(waits, RULE, now, room_is_full=room_is_full)


def test_nothing_ready_is_never_due_whatever_else_is_true() -> None:
    assert due(Waits(0, 5_000), now=10_000.0, room_is_full=True) is None


def test_the_window_runs_from_the_read_of_the_oldest() -> None:
    assert due(Waits(1)) == 5.0
    assert due(Waits(1), now=103.5) == 1.5
    assert due(Waits(1), now=105.0) == 0.0
    assert due(Waits(1), now=190.0) == 0.0


def test_a_window_of_zero_sends_at_once() -> None:
    assert due_in(Waits(1), BatchRule(10, 1_000, 0.0), 100.0, room_is_full=False) == 0.0


def test_enough_records_end_the_window() -> None:
    assert due(Waits(9)) == 5.0
    assert due(Waits(10)) == 0.0
    assert due(Waits(11)) == 0.0


def test_enough_bytes_end_the_window() -> None:
    assert due(Waits(1, 999)) == 5.0
    assert due(Waits(1, 1_000)) == 0.0
    assert due(Waits(1, 1_001)) == 0.0


def test_d22_a_full_room_ends_the_window() -> None:
    assert due(Waits(1), room_is_full=True) == 0.0


def test_d22_only_unlocked_records_count() -> None:
    """A locked key neither fills a batch nor starts a window; unlocked, its window has run all the time."""
    buffer = KeyedBuffer()
    buffer.extend([record(1, "a", read=100.0)])
    batch = buffer.take(10, 1_000)
    buffer.extend(record(seq, "a", read=101.0) for seq in range(2, 14))
    assert due_in(buffer, RULE, 104.0, room_is_full=False) is None
    buffer.remove([record(2, "a")])
    buffer.extend([record(14, "a", read=101.0), record(15, "b", read=103.0)])
    assert due_in(buffer, RULE, 104.0, room_is_full=False) == 4.0
    buffer.unlock(batch)
    assert due_in(buffer, RULE, 104.0, room_is_full=False) == 2.0


def test_the_limit_is_six_mebibytes() -> None:
    assert PAYLOAD_LIMIT == 6_291_456
    assert room_for(0) == 6_291_457
    assert room_for(14) == 6_291_443


CODEC = SqsCodec()


def _records(sizes: list[int], key: str | None) -> Buffer:
    buffer: Buffer = FlatBuffer() if key is None else KeyedBuffer()
    buffer.extend(record(seq, key, event=b"x" * size) for seq, size in enumerate(sizes))
    return buffer


@pytest.mark.parametrize("key", [None, "g"], ids=["flat", "keyed"])
@pytest.mark.parametrize("parts", [1, 2, 7])
def test_a_payload_of_exactly_the_limit_is_sent_whole_and_one_byte_more_is_not(
    key: str | None, parts: int
) -> None:
    fragments = PAYLOAD_LIMIT - CODEC.frame - (parts - 1)
    sizes = [fragments // parts] * (parts - 1)
    sizes.append(fragments - sum(sizes))
    fits = _records(sizes, key).take(10_000, room_for(CODEC.frame))
    assert len(fits) == parts
    assert len(CODEC.render(fits)) == PAYLOAD_LIMIT
    sizes[0] += 1
    if parts > 1:
        less = _records(sizes, key).take(10_000, room_for(CODEC.frame))
        assert len(less) == parts - 1
        assert len(CODEC.render(less)) <= PAYLOAD_LIMIT


@PATIENT
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=20), limit=st.integers(60, 300), flat=st.booleans())
def test_what_is_taken_fits_and_one_record_more_would_not(sizes: list[int], limit: int, *, flat: bool) -> None:
    """The same arithmetic with a small limit: rendered, not estimated."""
    room = limit - CODEC.frame + 1
    buffer = _records(sizes, None if flat else "g")
    taken = buffer.take(10_000, room)
    assert len(CODEC.render(taken)) <= limit
    rest = buffer.clear()
    if rest:
        assert len(CODEC.render([*taken, rest[0]])) > limit


@PATIENT
@given(sizes=st.lists(st.integers(2, 40), min_size=1, max_size=20))
def test_full_by_bytes_is_due_just_when_the_next_byte_would_not_fit(sizes: list[int]) -> None:
    buffer = FlatBuffer()
    buffer.extend(of_size(seq, size) for seq, size in enumerate(sizes))
    room = sum(sizes)
    exactly, roomier = BatchRule(10_000, room, 60.0), BatchRule(10_000, room + 1, 60.0)
    assert due_in(buffer, exactly, 0.0, room_is_full=False) == 0.0
    assert due_in(buffer, roomier, 0.0, room_is_full=False) == 60.0


@pytest.mark.parametrize(
    ("ready", "free", "size", "factor", "expected"),
    [
        (1_000, 1, 100, 1, 100),
        (20, 10, 100, 10, 10),  # a tenth of a batch at least: 20 records are two batches, not ten
        (400, 10, 100, 10, 40),
        (5_000, 10, 100, 10, 100),
        (7, 2, 1, 10, 1),
        (5, 0, 100, 3, 34),
    ],
)
def test_a_share_leaves_something_for_the_other_workers(
    ready: int, free: int, size: int, factor: int, expected: int
) -> None:
    assert share(ready, free, size, factor) == expected
