"""What readers take of a shard, however they come and however large the pages are."""

from hypothesis import given
from hypothesis import strategies as st

from esm.core.pacing import Quota, free_after_throttle, free_at

quotas = st.builds(Quota, reads=st.floats(0.5, 50), size=st.floats(1_000, 5_000_000))
reads = st.lists(st.tuples(st.floats(0, 2), st.integers(0, 10_000_000)), min_size=1, max_size=60)
chances = st.floats(0, 1, exclude_max=True)
SLACK = 1e-6


def timetable(quota: Quota, wanted: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """When each read begins, if it is wanted so long after the one before, and what it brings."""
    at = free = 0.0
    table = []
    for gap, size in wanted:
        at = max(at + gap, free)
        table.append((at, size))
        free = free_at(at, size, quota)
    return table


@given(quotas, reads)
def test_no_span_holds_more_reads_than_the_quota(quota: Quota, wanted: list[tuple[float, int]]) -> None:
    table = timetable(quota, wanted)
    for index, (begin, _) in enumerate(table):
        for count, (end, _) in enumerate(table[index:]):
            assert count <= (end - begin) * quota.reads + SLACK


@given(quotas, reads)
def test_no_span_holds_more_bytes_than_the_quota_and_one_page(
    quota: Quota, wanted: list[tuple[float, int]]
) -> None:
    table = timetable(quota, wanted)
    for index, (begin, _) in enumerate(table):
        before = 0
        for end, size in table[index:]:
            assert before <= (end - begin) * quota.size * (1 + SLACK) + 1
            before += size


@given(quotas, reads)
def test_what_stays_below_the_quota_waits_for_nothing(quota: Quota, wanted: list[tuple[float, int]]) -> None:
    slow = [(gap + max(1.1 / quota.reads, 10_000_000 / quota.size), size) for gap, size in wanted]
    at = 0.0
    for (begin, _), (gap, _) in zip(timetable(quota, slow), slow, strict=True):
        at += gap
        assert begin == at


def test_ten_megabytes_are_paid_for_five_seconds_long() -> None:
    assert free_at(100.0, 10_000_000, Quota(5, 2_000_000)) == 105.0


@given(quotas, st.integers(1, 1000), chances)
def test_after_a_throttle_it_waits_at_least_a_turn_and_never_for_ever(
    quota: Quota, throttles: int, chance: float
) -> None:
    wait = free_after_throttle(1000.0, throttles, chance, quota) - 1000.0
    assert 1 / quota.reads - SLACK <= wait <= max(16.0, 1.1 / quota.reads)


def test_throttles_in_a_row_wait_longer_and_longer() -> None:
    waits = [free_after_throttle(0.0, throttles, 0.5, Quota(5, 1)) for throttles in range(1, 6)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0]
