"""What a checkpoint says of a lane: its mark, what is settled above it, and what is failing."""

from unittest.mock import patch

from core_log_records import line, part
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from esm.checkpoint import Budget, Checkpoint, Span
from esm.core.log import checkpoints
from esm.core.log.checkpoints import beyond, build
from esm.core.log.parts import Part


def failing(one: Part, attempts: int = 1) -> Part:
    return structs.replace(one, budget=Budget(attempts, 7.0))


def test_a_mark_with_what_is_settled_and_failing_above_it_in_order() -> None:
    first, second = failing(part("20a"), 1), failing(part("40b", first=4), 2)
    assert build(5, [(50, 60), (30, 30)], [second, first], clean=False) == Checkpoint(
        at=5,
        clean=False,
        spans=(Span(20, 20, 0), Span(30, 30), Span(40, 40, 1), Span(50, 60)),
        parts=(Budget(1, 7.0), Budget(2, 7.0)),
    )
    assert build(None, [], [], clean=True) == Checkpoint()


def test_a_run_without_others_in_between_is_one_span() -> None:
    """Positions leave gaps of themselves; only numbers tell who is in between."""
    run = line("10a", "20a", "30a")
    assert build(0, [], [Part(tuple(run))], clean=True).spans == (Span(10, 30, 0),)
    gapped = Part((*run, *line("50a", "60a", first=5)))
    assert build(0, [], [gapped], clean=True).spans == (Span(10, 30, 0), Span(50, 60, 0))


def test_there_is_room_for_exactly_as_many_spans_and_never_less_than_what_fails() -> None:
    settled = [(10 * place, 10 * place) for place in (5, 3, 4)]
    one = failing(part("20a"))
    for most, kept in ((4, [30, 40, 50]), (3, [30, 40]), (2, [30]), (1, []), (0, [])):
        with patch.object(checkpoints, "MOST_SPANS", most):
            spans = build(0, settled, [one], clean=True).spans
        assert [span.first for span in spans] == [20, *kept]
    assert checkpoints.MOST_SPANS == 2_000


def test_what_was_not_read_yet_is_what_lies_behind() -> None:
    spans = [Span(10, 20), Span(30, 40)]
    assert beyond(spans, None) == [(10, 20), (30, 40)]
    assert beyond(spans, 9) == [(10, 20), (30, 40)]
    assert beyond(spans, 10) == [(11, 20), (30, 40)]
    assert beyond(spans, 19) == [(20, 20), (30, 40)]
    assert beyond(spans, 20) == [(30, 40)]
    assert beyond(spans, 40) == []


@PATIENT
@given(st.sets(st.integers(1, 40)), st.integers(0, 45))
def test_nothing_behind_is_left_out_and_nothing_before_is_kept(places: set[int], reached: int) -> None:
    left = beyond([Span(place, place) for place in sorted(places)], reached)
    assert [first for first, _ in left] == sorted(place for place in places if place > reached)
