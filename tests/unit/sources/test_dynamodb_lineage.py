"""Which lanes there are, and which of them come before which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.dynamodb_table import ARN as TABLE
from esm.model import Lane
from esm.sources.dynamodb.lineage import Shard, Stream, children_of, is_of, lanes_of, shard_of
from esm.sources.dynamodb.start import count_before

OLD, NEW, NEWEST = (f"{TABLE}/stream/2026-01-0{day}T00:00:00.000" for day in (1, 2, 3))


def test_shards_have_their_parents() -> None:
    stream = Stream(OLD, (Shard("a"), Shard("b", "a"), Shard("c", "a"), Shard("d", "b")))
    assert lanes_of([stream]) == (
        Lane("2026-01-01T00:00:00.000/a"),
        Lane("2026-01-01T00:00:00.000/b", ("2026-01-01T00:00:00.000/a",)),
        Lane("2026-01-01T00:00:00.000/c", ("2026-01-01T00:00:00.000/a",)),
        Lane("2026-01-01T00:00:00.000/d", ("2026-01-01T00:00:00.000/b",)),
    )


def test_what_is_gone_is_still_named_because_it_may_be_worked_off() -> None:
    label, later = "2026-01-01T00:00:00.000", "2026-01-02T00:00:00.000"
    assert lanes_of([Stream(OLD, (Shard("b", "a"),))]) == (Lane(f"{label}/b", (f"{label}/a",)),)
    gone = Stream(OLD, (Shard("a"), Shard("b", "a")))
    everything = (f"{label}/a", f"{label}/b")
    assert lanes_of([gone, Stream(NEW)], [Stream(NEWEST, (Shard("c"),))]) == lanes_of([gone])
    assert lanes_of([Stream(NEW, (Shard("c"), Shard("d", "c")))], [gone]) == (
        Lane(f"{later}/c", everything),
        Lane(f"{later}/d", (f"{later}/c",)),
    )


def test_a_shard_waits_to_be_listed_until_its_ancestors_are() -> None:
    """`b` is missing at first, so that `c` seems to have no parent; `z` has none either, but is older than `a`."""
    a, b, c = Shard("a", None, "10", closed=True), Shard("b", "a", "20", closed=True), Shard("c", "b", "30")
    z, y = Shard("z", "trimmed", "5", closed=True), Shard("y", "z", "40")

    def listed(*shards: Shard, on: bool) -> list[str]:
        return [shard_of(lane.name) for lane in lanes_of([Stream(OLD, shards, on)])]

    assert listed(a, c, z, y, on=True) == ["a", "z", "y"]
    assert listed(a, c, Shard("d", "c", "50"), z, y, on=True) == ["a", "z", "y"]  # nor what comes from it
    assert listed(Shard("e", "d", "60"), Shard("d", "c", "50"), a, c, z, y, on=True) == ["a", "z", "y"]
    assert listed(a, b, c, z, y, on=True) == ["a", "b", "c", "z", "y"]
    assert listed(c, z, y, on=True) == ["c", "z", "y"]  # `a` was trimmed, and so was `b`
    assert listed(a, c, on=False) == ["a", "c"]  # where nothing comes any more, a closed shard may be the last


def test_the_last_shards_of_a_stream_come_before_the_first_of_the_next() -> None:
    old = Stream(OLD, (Shard("a"), Shard("b", "a"), Shard("c", "a")))
    new = Stream(NEW, (Shard("a"), Shard("d", "a"), Shard("e", "trimmed")))
    lanes = {lane.name: lane.parents for lane in lanes_of([new, old])}
    leaves = ("2026-01-01T00:00:00.000/b", "2026-01-01T00:00:00.000/c")
    assert lanes["2026-01-02T00:00:00.000/a"] == leaves
    assert lanes["2026-01-02T00:00:00.000/d"] == ("2026-01-02T00:00:00.000/a",)
    assert lanes["2026-01-02T00:00:00.000/e"] == ("2026-01-02T00:00:00.000/trimmed", *leaves)
    assert lanes["2026-01-01T00:00:00.000/a"] == ()


def test_a_stream_without_shards_is_no_gap() -> None:
    lanes = lanes_of([Stream(OLD, (Shard("a"),)), Stream(NEW), Stream(NEWEST, (Shard("a"),))])
    assert lanes[-1] == Lane("2026-01-03T00:00:00.000/a", ("2026-01-01T00:00:00.000/a",))


def test_lanes_of_two_streams_have_names_of_their_own() -> None:
    lanes = lanes_of([Stream(OLD, (Shard("a"),)), Stream(NEW, (Shard("a"),))])
    assert len({lane.name for lane in lanes}) == 2
    assert {shard_of(lane.name) for lane in lanes} == {"a"}
    assert [is_of(lane.name, NEW) for lane in lanes] == [False, True]


def test_children_are_those_that_name_the_parent() -> None:
    shards = (Shard("a"), Shard("b", "a"), Shard("c", "b"), Shard("d", "a"))
    assert [shard_of(lane.name) for lane in children_of(OLD, "a", shards)] == ["b", "d"]
    assert children_of(OLD, "c", shards) == ()


@pytest.mark.parametrize(
    ("created", "start", "count"),
    [
        ([], 10.0, 0),
        ([8, 9, 10, 11], 10.0, 2),
        ([8, 9, 10, 11], 10.9, 2),  # a record of second 10 may have been written at 10.95
        ([8, 9], 10.0, 2),
        ([10], 10.0, 0),
        ([12, 9], 10.0, 0),  # what follows the first that counts, counts
        ([9, 10, 9, 8], 10.0, 1),
    ],
)
def test_a_start_leaves_out_what_came_before_its_second(created: list[int], start: float, count: int) -> None:
    assert count_before(created, start) == count


@given(
    written=st.lists(st.floats(0, 100), max_size=20).map(sorted),
    start=st.floats(0, 100),
    cuts=st.lists(st.integers(0, 20), max_size=4).map(sorted),
)
def test_a_start_loses_nothing_however_the_pages_fall(written: list[float], start: float, cuts: list[int]) -> None:
    """Each page is asked anew until one has records that count."""
    kept: list[float] = []
    begun = False
    for low, high in zip([0, *cuts], [*cuts, len(written)], strict=True):
        page = written[low:high]
        skipped = 0 if begun else count_before([int(time) for time in page], start)
        kept += page[skipped:]
        begun = begun or len(page) > skipped
    assert [time for time in written if time >= start] == [time for time in kept if time >= start]
    assert all(time > start - 1 for time in kept)
