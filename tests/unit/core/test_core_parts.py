"""Owners and their parts."""

from math import inf

from core_log_records import part, places, positions
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from esm.checkpoint import Budget
from esm.core.buffers import KEYS, ONE_KEY
from esm.core.log.parts import Owner, Part, independent

KEY = KEYS.key_of
FAILED = Budget(1, 0.0)


def test_a_key_is_free_once_nothing_is_left_of_it() -> None:
    owner = Owner([part("10a", "20b", "30a")], KEY)
    records = owner.first.records
    assert owner.finished(records[:1]) == []
    assert owner.finished(records[1:2]) == ["b"]
    assert positions(owner.parts) == [[30]]
    assert owner.finished(records[2:]) == ["a"]
    assert owner.parts == []


def test_all_at_once_frees_all() -> None:
    owner = Owner([part("10a"), part("20b", first=2)], KEY)
    assert sorted(owner.finished([record for one in owner.parts for record in one.records]), key=str) == ["a", "b"]


def test_what_is_pending_takes_the_place_of_the_first_part() -> None:
    owner = Owner([part("10a", "20b"), part("30a", first=3)], KEY)
    owner.becomes([part("10a"), part("20b", first=2)])
    assert positions(owner.parts) == [[10], [20], [30]]


def test_parts_that_share_no_key_with_the_first_become_others() -> None:
    owner = Owner([part("10a"), part("20b", first=2), part("30a", "40c", first=3)], KEY, known=True)
    (other,) = owner.split_off()
    assert (positions(owner.parts), positions(other.parts)) == ([[10], [30, 40]], [[20]])
    assert (sorted(map(str, owner.keys)), list(other.keys), other.known) == (["a", "c"], ["b"], True)


def test_two_parts_may_be_enough_to_be_split() -> None:
    owner = Owner([part("10a"), part("20b", first=2)], KEY)
    (other,) = owner.split_off()
    assert (positions(owner.parts), positions(other.parts)) == ([[10]], [[20]])
    assert (list(owner.keys), owner.split_off(), other.split_off()) == (["a"], [], [])


def test_an_owner_may_be_sent_at_once_and_was_never_refused() -> None:
    owner = Owner([part("10a")], KEY)
    assert (owner.due, owner.refusals) == (-inf, 0)


def test_a_part_behind_two_others_keeps_both_together() -> None:
    """Otherwise 40 might be sent before 20."""
    owner = Owner([part("10a"), part("20b", first=2), part("30a", "40b", first=3)], KEY)
    assert owner.split_off() == []


def test_a_lane_in_order_is_never_split() -> None:
    assert Owner([part("10a"), part("20b", first=2)], ONE_KEY.key_of).split_off() == []


def test_what_is_never_sent_holds_no_key() -> None:
    owner = Owner([part("10a"), part("20b", first=2)], None)
    assert list(owner.keys) == []
    assert owner.split_off() == []
    assert owner.finished(owner.first.records) == []
    assert positions(owner.parts) == [[20]]
    assert owner.finished(owner.first.records) == []


def test_only_what_has_failed_or_is_being_sent_is_written() -> None:
    fresh, sent = part("10a"), part("10a").sent(in_flight=True)
    assert not Owner([fresh], KEY).is_written
    assert Owner([sent], KEY).is_written
    assert not Owner([sent.sent(in_flight=False)], KEY).is_written
    assert Owner([fresh], KEY, known=True).is_written


def test_being_sent_keeps_what_was_used_up() -> None:
    tried = structs.replace(part("10a"), budget=Budget(2, 1.0, cuts=1))
    assert tried.sent(in_flight=True).budget == Budget(2, 1.0, in_flight=True, cuts=1)
    assert tried.sent(in_flight=True).sent(in_flight=False) == tried


@PATIENT
@given(st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=7))
def test_groups_share_no_key_and_keep_their_order(keys: list[str]) -> None:
    parts: list[Part] = []
    for number, of_part in enumerate(keys):
        named = [f"{100 * number + place}{key}" for place, key in enumerate(of_part, 1)]
        parts.append(part(*named, first=10 * number))
    groups = independent(parts, KEY)
    assert sorted(id(one) for group in groups for one in group) == sorted(map(id, parts))
    assert groups[0][0] is parts[0]
    of_groups = [{place[-1] for one in group for place in places(one.records)} for group in groups]
    assert sum(map(len, of_groups)) == len(set.union(*of_groups))
    for group in groups:
        assert [parts.index(one) for one in group] == sorted(parts.index(one) for one in group)
