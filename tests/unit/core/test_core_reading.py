"""Whether to read, how much, and with how many reads at once."""

import pytest
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st

from esm.core.queue.reading import PATIENCE, Pollers, ahead, ask, worth_a_read


def asked(credit: int, *, page: int = 10, capacity: int = 50, small_for: float = 0.0) -> int:
    return ask(credit, page=page, capacity=capacity, small_for=small_for)


@pytest.mark.parametrize("credit", [0, -1, -100])
def test_no_credit_is_no_read_however_long_it_lasts(credit: int) -> None:
    assert asked(credit) == 0
    assert asked(credit, small_for=3600.0) == 0


def test_a_page_of_credit_is_read_at_once() -> None:
    assert asked(10) == 10
    assert asked(500) == 10


def test_a_read_asks_for_no_more_than_a_page_and_the_credit() -> None:
    assert asked(50, page=7) == 7
    assert asked(9, small_for=PATIENCE) == 9


def test_a_small_credit_waits_for_a_larger_one_but_not_for_long() -> None:
    assert asked(9, capacity=50, small_for=0.099) == 0
    assert asked(9, capacity=50, small_for=0.1) == 9
    assert PATIENCE == 0.1


def test_what_is_small_depends_on_the_capacity() -> None:
    """A quarter of what all slots can hold is no small credit, although it is less than a page."""
    assert asked(2, capacity=11) == 2
    assert asked(2, capacity=12) == 0
    assert asked(1, capacity=1) == 1
    assert asked(9, capacity=40) == 0
    assert asked(10, capacity=4_000) == 10


def test_nothing_is_read_ahead_before_anything_is_known_of_the_slots() -> None:
    assert ahead(100, 0.01, 0.0) == 0


@pytest.mark.parametrize(
    ("slot_takes", "records"), [(0.01, 100), (0.05, 40), (1.0, 2), (10.0, 0), (900.0, 0)], ids=str
)
def test_what_is_read_ahead_is_what_slots_take_while_the_read_is_under_way(
    slot_takes: float, records: int
) -> None:
    assert ahead(100, 0.01, slot_takes) == records


@PATIENT
@given(st.integers(1, 100_000), st.floats(0.0, 100.0), st.floats(1e-6, 1e6))
def test_never_more_than_all_slots_hold_is_read_ahead(capacity: int, read_takes: float, slot_takes: float) -> None:
    assert 0 <= ahead(capacity, read_takes, slot_takes) <= capacity


@PATIENT
@given(page=st.integers(1, 10), capacity=st.integers(1, 100_000))
def test_a_credit_that_is_worth_a_read_is_always_read(page: int, capacity: int) -> None:
    assert asked(worth_a_read(page, capacity), page=page, capacity=capacity) == worth_a_read(page, capacity)


@PATIENT
@given(
    credit=st.integers(-100, 1_000),
    page=st.integers(1, 10),
    capacity=st.integers(1, 100_000),
    small_for=st.floats(0.0, 10.0),
)
def test_it_never_asks_for_more_than_any_of_its_limits_and_never_starves(
    credit: int, page: int, capacity: int, small_for: float
) -> None:
    limit = asked(credit, page=page, capacity=capacity, small_for=small_for)
    assert 0 <= limit <= max(0, min(page, credit))
    if small_for >= PATIENCE and credit > 0:
        assert limit == min(page, credit)


def test_an_idle_queue_has_one_read_open_and_a_busy_one_more_and_more() -> None:
    pollers = Pollers(minimum=1, maximum=3, wanted=1)
    seen = []
    for _ in range(4):
        pollers = pollers.full()
        seen.append(pollers.wanted)
    for _ in range(4):
        pollers = pollers.short()
        seen.append(pollers.wanted)
    assert seen == [2, 3, 3, 3, 2, 1, 1, 1]


@PATIENT
@given(minimum=st.integers(1, 10), more=st.integers(0, 50), reads=st.lists(st.booleans(), max_size=60))
def test_d17_the_number_of_reads_stays_between_its_bounds(minimum: int, more: int, reads: list[bool]) -> None:
    pollers = Pollers(minimum, minimum + more, minimum)
    for full in reads:
        before = pollers.wanted
        pollers = pollers.full() if full else pollers.short()
        assert minimum <= pollers.wanted <= minimum + more
        assert abs(pollers.wanted - before) <= 1
