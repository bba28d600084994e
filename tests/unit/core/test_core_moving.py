"""What an operator's command makes of a lane's row, and what a lane that is opened with it does."""

from collections.abc import Sequence

import pytest
from core_log_records import at, rule
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from esm.checkpoint import Budget, Checkpoint, LaneRow, Span, Start
from esm.core.log.checkpoints import build
from esm.core.log.judging import RetryRule, cut_off, doomed
from esm.core.log.ledger import Ledger
from esm.core.log.moving import imported, part_at, skipped, sought, spans_of, stuck
from esm.core.log.parts import Part
from esm.model import LogPage, Record
from esm.stores.versions import same

ROW = LaneRow("scope", "lane", "engine", 3, 17, Start(5.0))
BUDGETS = st.builds(
    Budget,
    attempts=st.integers(0, 9),
    first_failed=st.none() | st.floats(0, 4e9),
    in_flight=st.booleans(),
    cuts=st.integers(0, 2),
)


@st.composite
def lanes(draw: st.DrawFn) -> tuple[Sequence[Record], LaneRow]:
    """Records, and a row in which each of them is settled, of one of the parts, or fresh."""
    count = draw(st.integers(1, 12))
    records = [at(n, 10 * n, key=draw(st.sampled_from("abc"))) for n in range(1, count + 1)]
    fates = [draw(st.sampled_from(["settled", "fresh", 0, 1, 2])) for _ in records]
    groups = [tuple(r for r, fate in zip(records, fates, strict=True) if fate == n) for n in range(3)]
    parts = [Part(group, draw(BUDGETS)) for group in groups if group]
    settled = [(r.position, r.position) for r, fate in zip(records, fates, strict=True) if fate == "settled"]
    return records, structs.replace(ROW, checkpoint=build(0, settled, parts, clean=draw(st.booleans())))


def opened(records: Sequence[Record], row: LaneRow, retry: RetryRule) -> tuple[list[Part], list[Record]]:
    """The parts and the fresh records that a lane has which goes on from this row."""
    ledger = Ledger(row.checkpoint or Checkpoint(), rule(retry=retry))
    above = ledger.mark or 0
    owners = ledger.admit(LogPage(tuple(each for each in records if each.position > above)), 100.0).owners
    fresh = ledger.buffer.take(1_000, 10**9) if not ledger.is_restoring else []
    return [part for owner in owners for part in owner.parts], list(fresh)


@given(lane=lanes(), number=st.integers(0, 2), bisect=st.booleans())
def test_a_part_that_is_skipped_is_doomed_and_nothing_else_changes(
    lane: tuple[Sequence[Record], LaneRow], number: int, *, bisect: bool
) -> None:
    records, row = lane
    assert row.checkpoint is not None
    if number >= len(row.checkpoint.parts):
        with pytest.raises(IndexError):
            skipped(row, number, "operator")
        return
    retry = RetryRule(bisect=bisect)
    wanted = {
        r.position for r in records for s in spans_of(row.checkpoint, number) if s.first <= r.position <= s.last
    }
    parts, fresh = opened(records, skipped(row, number, "operator"), retry)
    before, fresh_before = opened(records, row, retry)
    given_up = [part for part in parts if doomed(part, retry, 100.0)]
    assert [{r.position for r in part.records} for part in given_up] == [wanted]
    untouched = [part for part in parts if part not in given_up]
    expected = [part for part in before if not {r.position for r in part.records} <= wanted]
    assert sorted(untouched, key=_place) == sorted(expected, key=_place)  # owners that share no key have no order
    assert sorted(r.seq for r in fresh) == sorted(r.seq for r in fresh_before)


@given(lane=lanes(), to=st.integers(0, 130) | st.builds(Start, st.none() | st.floats(0, 4e9)))
def test_a_lane_that_was_moved_has_everything_from_there_and_only_that(
    lane: tuple[Sequence[Record], LaneRow], to: int | Start
) -> None:
    records, row = lane
    moved = sought(row, to, "operator")
    parts, fresh = opened(records, moved, RetryRule())
    above = to if isinstance(to, int) else 0
    assert not parts
    assert sorted(each.position for each in fresh) == [r.position for r in records if r.position > above]
    assert isinstance(to, int) or (moved.start, moved.checkpoint) == (to, None)


@given(lane=lanes(), to=st.integers(0, 130))
def test_every_change_is_another_owners_first_write(lane: tuple[Sequence[Record], LaneRow], to: int) -> None:
    _, row = lane
    changed = [sought(row, to, "operator"), imported(row, row, "operator"), imported(row, None, "operator")]
    if row.checkpoint is not None and row.checkpoint.parts:
        changed.append(skipped(row, 0, "operator"))
    for new in changed:
        assert (new.scope, new.lane, new.owner, new.epoch, new.counter) == ("scope", "lane", "operator", 4, 0)
        assert not same(row, new)


def test_what_replaces_a_row_follows_its_number_and_not_that_of_the_copy() -> None:
    old = structs.replace(ROW, epoch=90)
    assert imported(ROW, old, "operator").epoch == 91


def test_an_ended_lane_can_be_moved() -> None:
    ended = structs.replace(ROW, checkpoint=Checkpoint(9, ended=True))
    assert sought(ended, 5, "operator").checkpoint == Checkpoint(5)
    assert sought(ended, Start(), "operator").checkpoint is None


def test_a_part_that_was_being_sent_is_not_taken_for_one_that_a_crash_cut_off() -> None:
    row = structs.replace(
        ROW, checkpoint=Checkpoint(0, spans=(Span(10, 20, 0),), parts=(Budget(1, 2.0, in_flight=True, cuts=1),))
    )
    new = skipped(row, 0, "operator").checkpoint
    assert new is not None
    assert new.parts == (Budget(1, 2.0, given_up=True),)
    part = Part((at(1, 10), at(2, 20)), new.parts[0])
    assert list(cut_off(part, RetryRule(bisect=True), 5.0)) == [part]


@pytest.mark.parametrize(
    ("parts", "number"),
    [
        ((), None),
        ((Budget(in_flight=True),), None),
        ((Budget(), Budget(2), Budget(3)), 1),
        ((Budget(2, given_up=True), Budget(3)), 1),
    ],
)
def test_stuck_is_the_oldest_that_has_failed(parts: tuple[Budget, ...], number: int | None) -> None:
    assert stuck(Checkpoint(parts=parts)) == number


def test_a_part_is_known_by_its_places_whatever_number_it_gets() -> None:
    spans = (Span(10, 10, 0), Span(20, 20, 1), Span(30, 30, 0), Span(40, 40))
    before = Checkpoint(0, spans=spans, parts=(Budget(1), Budget(2)))
    later = Checkpoint(30, spans=(Span(40, 40, 0),), parts=(Budget(3),))
    moved_up = Checkpoint(15, spans=(Span(20, 20, 0),), parts=(Budget(3),))
    of_second = spans_of(before, 1)
    assert (part_at(before, of_second), part_at(moved_up, of_second), part_at(later, of_second)) == (1, 0, None)
    halved = structs.replace(before, spans=(Span(10, 10, 0), Span(30, 30, 1)))
    assert part_at(halved, spans_of(before, 0)) is None


def _place(part: Part) -> int:
    return part.records[0].position
