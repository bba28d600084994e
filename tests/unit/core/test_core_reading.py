"""Whether to read, how much, and with how many reads at once."""

import pytest
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st

from esm.core.reading import PATIENCE, Pollers, ask


def asked(credit: int, *, batch_size: int = 10, page: int = 10, capacity: int = 50, small_for: float = 0.0) -> int:
    return ask(credit, batch_size=batch_size, page=page, capacity=capacity, small_for=small_for)


@pytest.mark.parametrize("credit", [0, -1, -100])
def test_no_credit_is_no_read_however_long_it_lasts(credit: int) -> None:
    assert asked(credit) == 0
    assert asked(credit, small_for=3600.0) == 0


def test_a_page_of_credit_is_read_at_once() -> None:
    assert asked(10) == 10
    assert asked(500) == 10


def test_d23_a_read_asks_for_no_more_than_a_batch_a_page_and_the_credit() -> None:
    assert asked(50, batch_size=3) == 3
    assert asked(50, page=7) == 7
    assert asked(9, small_for=PATIENCE) == 9


def test_a_small_credit_waits_for_a_larger_one_but_not_for_long() -> None:
    assert asked(9, capacity=50, small_for=0.099) == 0
    assert asked(9, capacity=50, small_for=0.1) == 9
    assert PATIENCE == 0.1


def test_what_is_small_depends_on_the_capacity() -> None:
    """A quarter of what all slots can hold is no small credit, although it is less than a page."""
    assert asked(2, capacity=8) == 2
    assert asked(2, capacity=9) == 0
    assert asked(1, batch_size=1, capacity=1) == 1
    assert asked(9, capacity=40) == 0
    assert asked(10, capacity=4_000) == 10


@PATIENT
@given(
    credit=st.integers(-100, 1_000),
    batch_size=st.integers(1, 10_000),
    page=st.integers(1, 10),
    capacity=st.integers(1, 100_000),
    small_for=st.floats(0.0, 10.0),
)
def test_it_never_asks_for_more_than_any_of_its_limits_and_never_starves(
    credit: int, batch_size: int, page: int, capacity: int, small_for: float
) -> None:
    limit = asked(credit, batch_size=batch_size, page=page, capacity=capacity, small_for=small_for)
    assert 0 <= limit <= max(0, min(page, batch_size, credit))
    if small_for >= PATIENCE and credit > 0:
        assert limit == min(page, batch_size, credit)


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
