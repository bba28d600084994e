"""When a breaker opens, when it lets a probe through, and what closes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.core.breaker import CLOSED, LASTED, REFUSALS, RUN, Breaker, pause_after
from esm.model import Outcome

DOWN = Outcome.UNREACHABLE


def refused(breaker: Breaker, *moments: float, outcome: Outcome = DOWN, asked: float | None = None) -> Breaker:
    for moment in moments:
        breaker = breaker.refused(outcome, moment, asked, chance=0.5)
    return breaker


def test_a_run_of_refusals_that_lasts_opens_it() -> None:
    almost = refused(CLOSED, 0.0, 1.0, 2.0, 3.0, LASTED - 0.1)
    assert almost.opened is None
    opened = refused(almost, LASTED)
    assert (opened.opened, opened.retry_at) == (LASTED, LASTED + 0.5)


def test_a_busy_target_that_refuses_many_at_one_moment_does_not() -> None:
    assert refused(CLOSED, *[0.0] * 1_000).opened is None


def test_few_refusals_far_apart_do_not() -> None:
    assert refused(CLOSED, *[60.0 * number for number in range(RUN - 1)]).opened is None


def test_it_is_shut_until_a_probe_is_due() -> None:
    opened = refused(CLOSED, *range(11))
    assert opened.shut_for(10.0) == 0.5
    assert opened.shut_for(10.5) == 0.0
    assert CLOSED.shut_for(10.0) == 0.0


def test_each_probe_that_is_refused_doubles_the_pause_up_to_ten_seconds() -> None:
    breaker, pauses = refused(CLOSED, *range(11)), []
    for _ in range(7):
        assert breaker.retry_at is not None
        at = breaker.retry_at
        breaker = refused(breaker, at)
        pauses.append(breaker.shut_for(at))
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0]
    assert breaker.opened == 10.0


def test_late_answers_of_calls_sent_before_do_not_lengthen_the_pause() -> None:
    opened = refused(CLOSED, *range(11))
    later = refused(opened, *[10.1] * 100)
    assert (later.retry_at, later.refusals) == (opened.retry_at, 111)


@pytest.mark.parametrize(
    ("outcome", "longest"), [(Outcome.THROTTLED, 10), (Outcome.UNREACHABLE, 10), (Outcome.MISCONFIGURED, 60)]
)
def test_d7_a_wrong_configuration_is_asked_once_a_minute_what_comes_back_by_itself_more_often(
    outcome: Outcome, longest: float
) -> None:
    assert pause_after(outcome, 100, None, 0.999) == pytest.approx(longest, rel=0.01)


def test_what_the_target_asks_for_is_waited_but_no_more_than_five_minutes() -> None:
    assert pause_after(Outcome.THROTTLED, 1, 42.0, 0.5) == 42.0
    assert pause_after(Outcome.THROTTLED, 1, 86_400.0, 0.5) == 300.0


@given(
    st.lists(st.tuples(st.sampled_from(sorted(REFUSALS)), st.floats(0, 100), st.floats(0, 1, exclude_max=True))),
)
def test_whatever_is_refused_an_open_breaker_always_has_a_next_probe(
    refusals: list[tuple[Outcome, float, float]],
) -> None:
    breaker, now = CLOSED, 0.0
    for outcome, later, chance in refusals:
        now += later
        breaker = breaker.refused(outcome, now, None, chance)
        assert (breaker.opened is None) == (breaker.retry_at is None)
        assert breaker.shut_for(now) <= 60.0
        if breaker.opened is not None:
            assert breaker.refusals >= RUN
            assert breaker.opened - breaker.since >= LASTED
