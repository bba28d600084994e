"""The pauses between tries: doubling, capped, and jittered over their whole length."""

import pytest
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st

from esm.core.backoff import Backoff, Failures

ALMOST_ONE = 1.0 - 2**-53


@pytest.mark.parametrize(("failures", "longest"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (50, 60.0)])
def test_each_pause_may_be_twice_as_long_up_to_the_cap(failures: int, longest: float) -> None:
    backoff = Backoff(base=1.0, cap=60.0)
    assert backoff.pause(failures, ALMOST_ONE) == pytest.approx(longest)
    assert backoff.pause(failures, 0.5) == longest / 2
    assert backoff.pause(failures, 0.0) == 0.0


def test_without_further_words_it_goes_from_a_second_to_a_minute() -> None:
    assert Backoff() == Backoff(base=1.0, cap=60.0)


@PATIENT
@given(
    base=st.floats(0.001, 100.0),
    cap=st.floats(0.001, 1e6),
    failures=st.integers(1, 10**9),
    chance=st.floats(0.0, 1.0, exclude_max=True),
)
def test_no_pause_is_negative_or_above_the_cap_however_often_it_failed(
    base: float, cap: float, failures: int, chance: float
) -> None:
    assert 0.0 <= Backoff(base, cap).pause(failures, chance) <= cap


def test_failures_in_a_row_wait_longer_until_one_goes_well() -> None:
    failures, backoff = Failures(), Backoff(base=1.0, cap=60.0)
    assert [failures.another(backoff, 0.5) for _ in range(3)] == [0.5, 1.0, 2.0]
    assert failures.in_a_row == 3
    failures.over()
    assert (failures.in_a_row, failures.another(backoff, 0.5)) == (0, 0.5)
