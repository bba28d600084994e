"""The two limits of concurrency: one follows the backlog (D18), the other the function's health."""

import math

import pytest
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st

from esm.core.queue.concurrency import Health, effective, health_of, scale_from

# The backlog's limit (D18)


def test_d18_it_starts_at_five_and_grows_while_reads_are_full_and_every_slot_is_taken() -> None:
    scale = scale_from(5, 100, 0.0)
    seen = [scale.limit]
    for second in range(9):
        scale = scale.scarce(float(second))
        seen.append(scale.limit)
    assert seen == [5, 7, 10, 15, 22, 33, 49, 73, 100, 100]


def test_it_grows_by_one_at_least() -> None:
    assert scale_from(1, 10, 0.0).scarce(0.0).limit == 2


def test_a_full_read_with_free_slots_does_not_let_it_grow_but_is_backlog() -> None:
    scale = scale_from(5, 100, 0.0).scarce(0.0).busy(30.0)
    assert scale.limit == 7
    assert scale.quiet(89.9).limit == 7
    assert scale.quiet(90.0).limit == 5


def test_d18_it_halves_after_each_minute_without_backlog_down_to_where_it_started() -> None:
    scale = scale_from(5, 100, 0.0)
    for _ in range(20):
        scale = scale.scarce(0.0)
    seen = []
    for second in range(0, 400, 10):
        scale = scale.quiet(float(second))
        seen.append(scale.limit)
    assert seen == [100] * 6 + [50] * 6 + [25] * 6 + [12] * 6 + [6] * 6 + [5] * 10


def test_a_ceiling_below_the_start_is_the_start() -> None:
    scale = scale_from(5, 2, 0.0)
    assert (scale.limit, scale.floor, scale.ceiling) == (2, 2, 2)
    assert scale.scarce(0.0).limit == 2
    assert scale.quiet(1_000.0).limit == 2


STEPS = st.lists(st.tuples(st.sampled_from(["taken", "full", "quiet"]), st.floats(0.0, 100.0)), max_size=40)


@PATIENT
@given(start=st.integers(1, 20), ceiling=st.integers(1, 300), steps=STEPS)
def test_d18_it_never_leaves_its_bounds_and_never_shrinks_within_a_minute_of_backlog(
    start: int, ceiling: int, steps: list[tuple[str, float]]
) -> None:
    scale, now, last_backlog = scale_from(start, ceiling, 0.0), 0.0, 0.0
    for what, later in steps:
        now += later
        before = scale.limit
        if what == "quiet":
            scale = scale.quiet(now)
            assert scale.limit in (before, max(scale.floor, before // 2))
            assert scale.limit == before or now - last_backlog >= 60.0
        else:
            scale, last_backlog = (scale.scarce(now) if what == "taken" else scale.busy(now)), now
            assert scale.limit >= before
        assert min(start, ceiling) <= scale.limit <= ceiling


# The function's limit


def test_a_failure_halves_it() -> None:
    assert health_of(100).failed(1.0, 2.0, 100).limit == 50.0


def test_it_halves_what_was_in_use_not_what_was_allowed() -> None:
    assert health_of(100).failed(1.0, 2.0, 5).limit == 2.5


def test_a_round_of_failures_cuts_once() -> None:
    health = health_of(100)
    for ended in range(20):
        health = health.failed(0.5, 2.0 + ended, 100)
    assert (health.limit, health.cut_at) == (50.0, 2.0)


def test_a_failure_of_the_next_round_cuts_again() -> None:
    health = health_of(100).failed(0.5, 2.0, 100)
    assert health.failed(1.9, 3.0, 50).limit == 50.0
    assert health.failed(2.0, 3.0, 50).limit == 25.0


def test_it_never_falls_below_one() -> None:
    health = health_of(4)
    for second in range(10):
        health = health.failed(float(second), float(second), effective(scale_from(4, 4, 0.0), health))
    assert health.limit == 1.0


@pytest.mark.parametrize("slots", [1, 5, 40])
def test_a_round_of_successes_wins_about_one_slot_back(slots: int) -> None:
    health = Health(ceiling=100, limit=float(slots))
    for _ in range(slots):
        health = health.succeeded()
    assert slots + 0.6 < health.limit <= slots + 1


def test_it_recovers_to_the_ceiling_and_not_beyond() -> None:
    health = Health(ceiling=3, limit=1.0)
    seen = []
    for _ in range(8):
        health = health.succeeded()
        seen.append(health.limit)
    assert seen[0] == 2.0
    assert seen == sorted(seen)
    assert seen[-1] == 3.0


@PATIENT
@given(
    ceiling=st.integers(1, 200),
    start=st.integers(1, 200),
    calls=st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 3.0), st.booleans()), max_size=60),
)
def test_it_stays_in_bounds_and_cuts_at_most_once_per_round(
    ceiling: int, start: int, calls: list[tuple[float, float, bool]]
) -> None:
    scale, health = scale_from(start, ceiling, 0.0), health_of(ceiling)
    now, cuts = 0.0, [-math.inf]
    for took, later, fails in calls:
        now += later
        before = health.limit
        if fails:
            health = health.failed(now - took, now, effective(scale, health))
            if now - took >= cuts[-1]:
                cuts.append(now)
                assert health.limit <= max(1.0, before / 2)
            else:
                assert health.limit == before
        else:
            health = health.succeeded()
            assert before <= health.limit <= before + 1
        assert 1.0 <= health.limit <= ceiling
        assert health.cut_at == cuts[-1]
        assert 1 <= effective(scale, health) <= ceiling


def test_the_smaller_limit_counts_in_whole_batches() -> None:
    scale = scale_from(5, 100, 0.0)
    assert effective(scale, health_of(100)) == 5
    assert effective(scale, Health(ceiling=100, limit=2.9)) == 2
    assert effective(scale, Health(ceiling=100, limit=1.0)) == 1
