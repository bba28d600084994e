"""A lane's row as text beside a committed offset: what survives, what is left out, and what is not ours."""

from random import Random

import pytest
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from esm.checkpoint import Budget, Checkpoint, LaneRow, Span
from esm.core.log.packing import FORMAT, HEADROOM, ROOM, Newer, most_records, pack, part_size, unpack

ALPHABET = st.characters(codec="ascii", categories=["L", "N", "P"])
BUDGETS = st.builds(
    Budget,
    attempts=st.integers(0, 10_001),
    first_failed=st.none() | st.integers(0, 2**41).map(lambda ms: ms / 1000),
    in_flight=st.booleans(),
    cuts=st.integers(0, 31),
    given_up=st.booleans(),
)


@st.composite
def rows(draw: st.DrawFn) -> LaneRow:
    at = draw(st.integers(-1, 2**62))
    parts = draw(st.lists(BUDGETS, max_size=4))
    spans, before = [], at
    for _ in range(draw(st.integers(len(parts), 30)) if parts else draw(st.integers(0, 10))):
        first = before + 1 + draw(st.sampled_from([0, 0, 1, 31, 32, 1000, 2**40]))
        before = first + draw(st.sampled_from([0, 0, 1, 32, 33, 10**6]))
        spans.append(Span(first, before, draw(st.none() | st.integers(0, len(parts) - 1)) if parts else None))
    checkpoint = Checkpoint(at, draw(st.booleans()), draw(st.booleans()), tuple(spans), tuple(parts))
    owner, number = draw(st.text(ALPHABET, max_size=36)), st.integers(0, 2**31)
    return LaneRow("id", "topic-0", owner, draw(number), draw(number), None, checkpoint)


def read(text: str, at: int) -> LaneRow | Newer:
    return unpack(text, "id", "topic-0", at)


def at_of(row: LaneRow) -> int:
    assert row.checkpoint is not None
    assert row.checkpoint.at is not None
    return row.checkpoint.at


@PATIENT
@given(row=rows())
def test_what_is_packed_comes_back(row: LaneRow) -> None:
    text = pack(row)
    assert len(text) <= ROOM
    assert text.isascii()
    assert text.isprintable()
    assert read(text, at_of(row)) == row


@PATIENT
@given(row=rows(), room=st.integers(100, 600))
def test_settled_spans_are_left_out_the_highest_first_and_parts_never(row: LaneRow, room: int) -> None:
    checkpoint = row.checkpoint
    assert checkpoint is not None
    try:
        text = pack(row, room)
    except ValueError:
        needed = sum(part_size(spans_of(checkpoint, part), checkpoint.at) for part in range(len(checkpoint.parts)))
        assert needed + HEADROOM > room
        return
    assert len(text) <= room
    found = read(text, at_of(row))
    assert isinstance(found, LaneRow)
    assert found.checkpoint is not None
    assert found.checkpoint.parts == checkpoint.parts
    kept = [span for span in found.checkpoint.spans if span.part is None]
    settled = [span for span in checkpoint.spans if span.part is None]
    assert kept == settled[: len(kept)]
    failing = [span for span in checkpoint.spans if span.part is not None]
    assert [span for span in found.checkpoint.spans if span.part is not None] == failing
    if len(kept) < len(settled):
        assert len(text) > room - 26  # one more would not have fitted


def spans_of(checkpoint: Checkpoint, part: int) -> list[tuple[int, int]]:
    return [(span.first, span.last) for span in checkpoint.spans if span.part == part]


NOT_OURS = {
    "empty": "",
    "another consumer's": "consumed by billing-7",
    "no number": "esm ",
    "cut off": "esm1 6a34fa09",
    "another checksum": "esm1 00000000 0200000 me",
}


@pytest.mark.parametrize("text", NOT_OURS.values(), ids=NOT_OURS.keys())
def test_of_a_text_that_is_not_ours_nothing_is_known_above_the_offset(text: str) -> None:
    assert read(text, 41) == LaneRow("id", "topic-0", checkpoint=Checkpoint(41))


@PATIENT
@given(row=rows(), moved=st.integers(1, 10**6), cut=st.integers(1, 40))
def test_a_text_that_was_cut_or_whose_offset_was_moved_is_not_believed(row: LaneRow, moved: int, cut: int) -> None:
    text, at = pack(row), at_of(row)
    assert read(text, at + moved) == LaneRow("id", "topic-0", checkpoint=Checkpoint(at + moved))
    assert read(text[:-cut], at) == LaneRow("id", "topic-0", checkpoint=Checkpoint(at))


@pytest.mark.parametrize("rest", ["", "whatever", "6a34fa09 5J2 abc"])
def test_a_newer_format_is_told(rest: str) -> None:
    assert read(f"esm{FORMAT + 1} {rest}", 41) == Newer(FORMAT + 1)


def test_parts_that_do_not_fit_are_refused_rather_than_left_out() -> None:
    spans = tuple(Span(at, at, 0) for at in range(0, 100, 2))
    row = LaneRow("id", "topic-0", "me", checkpoint=Checkpoint(-1, spans=spans, parts=(Budget(1),)))
    with pytest.raises(ValueError, match="characters more than the 100"):
        pack(row, 100)


CRASHED = Checkpoint(9, spans=(Span(10, 10, 0),), parts=(Budget(99, cuts=99),))


def test_how_often_a_crash_cut_a_part_off_is_counted_no_further_than_it_matters() -> None:
    row = LaneRow("id", "topic-0", checkpoint=CRASHED)
    found = read(pack(row), 9)
    assert isinstance(found, LaneRow)
    assert found.checkpoint is not None
    assert found.checkpoint.parts == (Budget(99, cuts=31),)


def test_a_lane_of_which_nothing_is_finished_begins_before_the_first_offset() -> None:
    row = LaneRow("id", "topic-0", "me", 1, 2, checkpoint=Checkpoint(None, spans=(Span(0, 3),)))
    found = read(pack(row), -1)
    assert isinstance(found, LaneRow)
    assert found.checkpoint == Checkpoint(-1, spans=(Span(0, 3),))
    assert pack(LaneRow("id", "topic-0", "me", 1, 2)) == pack(row_of(Checkpoint()))


def row_of(checkpoint: Checkpoint) -> LaneRow:
    return LaneRow("id", "topic-0", "me", 1, 2, checkpoint=checkpoint)


# How much fits


@PATIENT
@given(row=rows())
def test_a_part_takes_no_more_than_is_said(row: LaneRow) -> None:
    checkpoint = row.checkpoint
    assert checkpoint is not None
    failing = tuple(span for span in checkpoint.spans if span.part is not None)
    text = pack(structs.replace(row, checkpoint=structs.replace(checkpoint, spans=failing)))
    sizes = [part_size(spans_of(checkpoint, part), checkpoint.at) for part in range(len(checkpoint.parts))]
    assert len(text) <= HEADROOM + sum(sizes)


@PATIENT
@given(
    extent=st.integers(1, 2**40), room=st.sampled_from([300, 700, ROOM]), seed=st.randoms(use_true_random=False)
)
def test_any_batch_of_the_size_that_is_allowed_fits(extent: int, room: int, seed: Random) -> None:
    """Whatever it is made of, and whatever fails of it: alone, in as many pieces as it has records."""
    most = most_records(extent, room)
    positions = sorted(seed.sample(range(1, extent + 1), min(most, extent)))
    for some in (positions, positions[::2], positions[::3], positions[len(positions) // 2 :]):
        spans = [(position, position) for position in some]
        assert part_size(spans, 0) <= room - HEADROOM


def test_how_large_a_batch_may_be() -> None:
    assert [most_records(extent, ROOM) for extent in (1, 10_000, 100_000, 2**40)] == FIGURES


FIGURES = [1954, 1526, 1175, 469]


# The format, letter by letter: what is in a group today must be read by the version of tomorrow

SPANS = (Span(1000, 1000, 0), Span(1001, 1034), Span(1067, 1067, 1), Span(1100, 1100), Span(2124, 2124, 0))
PARTS = (Budget(2, 1_700_000_000.5, in_flight=True), Budget(cuts=1, given_up=True))
WRITTEN = LaneRow("id", "topic-0", "me-7", 3, 1025, None, Checkpoint(999, clean=True, spans=SPANS, parts=PARTS))
GOLDEN = "esm1 7e568082 3xw122QLWG-DLN1j00200zz10411z201x1x20 me-7"


def test_the_format_is_what_it_was() -> None:
    assert pack(WRITTEN) == GOLDEN
    assert read(GOLDEN, 999) == WRITTEN


def test_a_first_failure_costs_few_digits_beside_an_earlier_one() -> None:
    def packed(*failed: float | None) -> int:
        spans = tuple(Span(n, n, n) for n in range(len(failed)))
        return len(pack(row_of(Checkpoint(-1, spans=spans, parts=tuple(Budget(1, at) for at in failed)))))

    assert packed(None) == len("esm1 00000000 ") + len("12210") + len("80100") + len(" me")
    assert packed(1_700_000_000.0) == packed(0.0) + 8
    assert packed(1_700_000_000.0, 1_700_000_000.031, None) == packed(1_700_000_000.0) + 6 + 5
    assert packed(1_700_000_000.0, 1_700_000_000.032) == packed(1_700_000_000.0, 1_700_000_000.0) + 1


@pytest.mark.parametrize("room", range(80, 160))
def test_as_much_of_what_is_settled_as_there_is_room_for(room: int) -> None:
    row = row_of(Checkpoint(-1, spans=tuple(Span(n, n) for n in range(1, 400, 2))))
    text = pack(row, room)
    assert room - 1 <= len(text) <= room
    found = read(text, -1)
    assert isinstance(found, LaneRow)
    assert found.checkpoint is not None
    assert found.checkpoint.spans == tuple(Span(n, n) for n in range(1, 400, 2))[: len(found.checkpoint.spans)]
    least = len(pack(row_of(Checkpoint(-1))))
    assert len(text) == least + 2 * len(found.checkpoint.spans)


def test_parts_may_fill_the_room_to_the_last_character() -> None:
    row = row_of(Checkpoint(-1, spans=(Span(0, 0, 0),), parts=(Budget(1),)))
    text = pack(row)
    assert pack(row, len(text)) == text
    with pytest.raises(ValueError, match="takes 1 characters more than the"):
        pack(row, len(text) - 1)


@pytest.mark.parametrize(
    ("spans", "at", "digits"),
    [
        ([(1, 1)], 0, 3),
        ([(32, 32)], 0, 3),
        ([(33, 33)], 0, 4),
        ([(1024, 1024)], 0, 4),
        ([(1025, 1025)], 0, 5),
        ([(1, 32)], 0, 3),
        ([(1, 33)], 0, 4),
        ([(1025, 1025)], 1000, 3),
        ([(0, 0)], None, 3),
        ([(32, 32)], None, 4),
        ([(1, 1), (33, 33)], 0, 5),
        ([(1, 1), (34, 34)], 0, 6),
        ([(2 * n, 2 * n) for n in range(1, 33)], 0, 66),
    ],
)
def test_what_a_part_takes(spans: list[tuple[int, int]], at: int | None, digits: int) -> None:
    assert part_size(spans, at) == 24 + digits
