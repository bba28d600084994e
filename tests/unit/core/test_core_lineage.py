"""Which lanes run, over trees of shards that split and merge."""

from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st

from esm.checkpoint import Checkpoint, LaneRow, Start
from esm.core.log.lineage import (
    ENOUGH_LOOKS,
    EVERY_LANE,
    Sightings,
    expired,
    has_ended,
    looked_at,
    replaced,
    runnable,
)
from esm.model import Lane

P, Q = Lane("p"), Lane("q")
C, D = Lane("c", ("p",)), Lane("d", ("p",))
M = Lane("m", ("p", "q"))


def listing(*lanes: Lane) -> Sightings:
    return Sightings().listing(lanes)


def now(sightings: Sightings, ended: set[str] | None = None, running: tuple[Lane, ...] = ()) -> set[str]:
    return set(runnable(sightings, {lane.name: lane for lane in running}, ended or set()))


def row(lane: str, at: int | None = None, *, ended: bool = False) -> LaneRow:
    return LaneRow("scope", lane, "us", 1, checkpoint=Checkpoint(at, ended=ended))


def test_children_wait_for_their_parents_end() -> None:
    assert now(listing(P, C, D)) == {"p"}
    assert now(listing(P, C, D), {"p"}) == {"c", "d"}


def test_a_closed_shard_that_was_never_read_is_read() -> None:
    assert now(listing(P)) == {"p"}


def test_a_merge_waits_for_both_parents() -> None:
    assert now(listing(P, Q, M), {"p"}) == {"q"}
    assert now(listing(P, Q, M), {"p", "q"}) == {"m"}


def test_a_parent_that_is_no_longer_listed_has_expired() -> None:
    assert now(listing(C)) == {"c"}
    assert now(listing(Q, M)) == {"q"}


def test_what_runs_is_worked_off_even_if_it_is_no_longer_listed() -> None:
    assert now(listing(C, D), running=(P,)) == {"p"}


def test_a_grandchild_waits_for_its_parent() -> None:
    grandchild = Lane("g", ("c",))
    assert now(listing(P, C, grandchild), {"p"}) == {"c"}


def test_children_that_a_parent_names_are_known_before_they_are_listed() -> None:
    assert now(listing(P).children([C, D]), {"p"}) == {"c", "d"}


def test_a_merge_that_one_parent_names_waits_for_the_other_which_is_not_listed_yet() -> None:
    named = listing(P).children([M])
    assert now(named, {"p"}) == set()
    assert now(named.listing([P, Q, M]), {"p"}) == {"q"}
    assert now(named.listing([P, M]), {"p"}) == {"m"}


def test_what_a_parent_named_may_have_expired_before_it_was_ever_listed() -> None:
    named = listing(P).children([C, D])
    assert set(named.lanes) == {"p", "c", "d"}
    once = named.listing([P, C])
    assert set(once.lanes) == {"p", "c", "d"}, "that listing may have been under way when it was named"
    assert set(once.listing([P, C]).lanes) == {"p", "c"}
    assert set(once.listing([P]).children([D]).listing([P]).lanes) == {"p", "d"}


def test_a_running_lane_stays_as_it_is_when_its_listing_changes() -> None:
    assert runnable(listing(Lane("c")), {"c": C}, set()) == {"c": C}


# Rows


def test_rows_go_once_their_children_have_begun_and_nobody_lists_them() -> None:
    parent, begun, opened = row("p", 9, ended=True), row("c", 5), row("d")
    lanes = {"c": C, "d": D}
    assert expired([parent, begun, opened], lanes) == []
    assert expired([parent, begun, row("d", 7)], lanes) == [parent]
    assert expired([parent, begun, row("d", ended=True)], lanes) == [parent]


def test_rows_stay_while_their_lane_is_listed_or_has_not_ended() -> None:
    assert expired([row("p", 9, ended=True), row("c", 5)], {"p": P, "c": C}) == []
    assert expired([row("p", 9), row("c", 5)], {"c": C}) == []


def test_a_row_is_forgotten_when_several_looks_in_a_row_agree() -> None:
    p, q = row("p", 9, ended=True), row("q", 9, ended=True)
    first = looked_at([p], {})
    second = looked_at([p, q], first)
    assert (first, second) == ({"p": 1}, {"p": 2, "q": 1})
    assert looked_at([q], second) == {"q": 2}  # `p` is listed again: it begins anew
    assert looked_at([p, q], looked_at([q], second)) == {"p": 1, "q": 3}
    assert ENOUGH_LOOKS == 3


def test_a_source_that_lists_nothing_is_not_believed() -> None:
    assert expired([row("p", 9, ended=True)], {}) == []


def test_the_row_of_the_scope_has_never_ended() -> None:
    assert not has_ended(LaneRow("scope", EVERY_LANE, start=Start()))


@PATIENT
@given(data=st.data(), size=st.integers(1, 12))
def test_however_shards_divide_each_runs_once_and_after_all_before_it(data: st.DataObject, size: int) -> None:
    lanes: list[Lane] = []
    for number in range(size):
        parents = data.draw(st.lists(st.sampled_from(lanes), max_size=2, unique=True)) if lanes else []
        lanes.append(Lane(f"s{number}", tuple(parent.name for parent in parents)))
    ended: list[str] = []
    while ready := sorted(runnable(listing(*lanes), {}, set(ended))):
        ended.append(data.draw(st.sampled_from(ready)))
    assert sorted(ended) == sorted(lane.name for lane in lanes)
    for lane in lanes:
        assert all(ended.index(parent) < ended.index(lane.name) for parent in lane.parents)


def test_a_row_is_of_another_lane_if_it_ended_before_the_first_position_of_that_one() -> None:
    lanes = {"p": Lane("p", (), 10), "c": Lane("c")}
    older, own, open_, untold = (
        row("p", 9, ended=True),
        row("p", 10, ended=True),
        row("p", 9),
        row("c", 9, ended=True),
    )
    assert replaced([older, own, open_, untold, row("p", ended=True), row("x", 1, ended=True)], lanes) == [older]
