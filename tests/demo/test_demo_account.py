"""The account finds whatever can be wrong with a queue; each test plants one fault."""

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.demo.account import Account, Found, behind_poison, drawn_up
from esm.demo.journal import Entry
from esm.demo.notices import Place, given_up
from esm.demo.workload import Message, Nature, changes, clicks, orders, payments

GOOD = [Message(f"m{number}", None, number, Nature.GOOD) for number in range(1, 6)]
GROUP = [Message(f"g{number}", "g", number, Nature.GOOD) for number in range(1, 5)]
POISONED = [*GROUP[:2], Message("g3", "g", 3, Nature.POISON), GROUP[3]]


def account(
    sent: Sequence[Message],
    journal: Sequence[tuple[str, bool]],
    dead: Collection[str] = (),
    waiting: Collection[str] = (),
) -> Account:
    entries = [Entry(at, id_, done) for at, (id_, done) in enumerate(journal, start=1)]
    return drawn_up("queue", sent, entries, Found(dead, waiting, behind_poison(sent)))


def done(*ids: str) -> list[tuple[str, bool]]:
    return [(id_, True) for id_ in ids]


def failed(*ids: str) -> list[tuple[str, bool]]:
    return [(id_, False) for id_ in ids]


def test_all_delivered_balances() -> None:
    balance = account(GOOD, done("m1", "m2", "m3", "m4", "m5"))
    assert (balance.sent, balance.delivered, balance.dead, balance.lost) == (5, 5, 0, [])
    assert balance.balanced


def test_a_line_missing_in_the_journal_is_a_lost_message() -> None:
    balance = account(GOOD, done("m1", "m2", "m4", "m5"))
    assert balance.lost == ["m3"]
    assert not balance.balanced


def test_a_failure_alone_delivers_nothing() -> None:
    assert account(GOOD[:1], failed("m1")).lost == ["m1"]


def test_a_message_that_still_waits_is_not_lost() -> None:
    balance = account(GOOD[:2], done("m1"), waiting={"m2"})
    assert balance.balanced
    assert balance.waiting == 1


def test_more_than_once_is_allowed_and_told() -> None:
    balance = account(GOOD[:2], done("m1", "m2", "m1"))
    assert balance.repeated == 1
    assert balance.balanced


@pytest.mark.parametrize(("dead", "waiting"), [({"m1"}, set()), (set(), {"m1"})])
def test_delivered_and_still_somewhere_is_accounted_for_twice(dead: set[str], waiting: set[str]) -> None:
    balance = account(GOOD[:1], done("m1"), dead, waiting)
    assert balance.twice == ["m1"]
    assert not balance.balanced


def test_what_was_never_sent_is_a_stranger() -> None:
    balance = account(GOOD[:1], done("m1", "other"))
    assert balance.strangers == ["other"]
    assert not balance.balanced


def test_a_sound_message_among_the_dead_is_misplaced() -> None:
    balance = account(GOOD[:2], done("m1"), dead={"m2"})
    assert balance.misplaced == ["m2"]
    assert not balance.balanced


def test_poison_that_was_worked_off_is_misplaced() -> None:
    assert account([Message("p", None, 1, Nature.POISON)], done("p")).misplaced == ["p"]


def test_what_waited_behind_poison_may_die_with_it() -> None:
    journal = [*done("g1", "g2"), *failed("g3", "g3", "g3")]
    balance = account(POISONED, journal, dead={"g3", "g4"})
    assert (balance.behind, balance.misplaced) == (1, [])
    assert balance.balanced


def test_what_stood_before_poison_may_not() -> None:
    assert account(POISONED, [*done("g1", "g4"), *failed("g3")], dead={"g2", "g3"}).misplaced == ["g2"]


def test_after_the_last_failure_of_poison_the_next_may_go() -> None:
    journal = [*done("g1", "g2"), *failed("g3", "g3", "g3"), *done("g4")]
    assert account(POISONED, journal, dead={"g3"}).balanced


def test_before_the_last_failure_of_poison_the_next_may_not_go() -> None:
    journal = [*done("g1", "g2"), *failed("g3", "g3"), *done("g4"), *failed("g3")]
    balance = account(POISONED, journal, dead={"g3"})
    assert balance.overtaken == ["g4"]
    assert not balance.balanced


def test_a_later_message_before_an_earlier_one_breaks_order() -> None:
    assert account(GROUP, done("g1", "g3", "g2", "g4")).overtaken == ["g3"]


def test_a_later_message_before_one_that_still_waits_breaks_order() -> None:
    assert account(GROUP[:2], done("g2"), waiting={"g1"}).overtaken == ["g2"]


def test_a_second_delivery_of_an_earlier_message_breaks_nothing() -> None:
    assert account(GROUP, done("g1", "g2", "g1", "g3", "g4")).balanced


def test_standard_queues_have_no_order() -> None:
    assert account(GOOD, done("m5", "m4", "m3", "m2", "m1")).balanced


def test_groups_do_not_wait_for_each_other() -> None:
    other = [Message(f"h{number}", "h", number, Nature.GOOD) for number in (1, 2)]
    assert account([*GROUP[:2], *other], done("h1", "h2", "g1", "g2")).balanced


def test_in_a_stream_nothing_may_die_with_poison() -> None:
    entries = [Entry(at, id_, True) for at, id_ in enumerate(["g1", "g2"], start=1)]
    balance = drawn_up("stream", POISONED, entries, Found(dead={"g3", "g4"}))
    assert balance.misplaced == ["g4"]
    assert not balance.balanced


PLACES = {Place("a", 1): "g1", Place("a", 2): "g2", Place("b", 2): "h1"}


def document(first: int, last: int, size: int, shard: str = "a") -> dict[str, Any]:
    info = {"shardId": shard, "startSequenceNumber": str(first), "endSequenceNumber": str(last), "batchSize": size}
    return {"KinesisBatchInfo": info}


def test_a_document_names_the_records_from_its_first_to_its_last_in_its_shard() -> None:
    assert given_up([document(2, 2, 1)], PLACES) == {"g2"}
    assert given_up([document(1, 2, 2), document(2, 2, 1, "b")], PLACES) == {"g1", "g2", "h1"}


@pytest.mark.parametrize("wrong", [document(3, 3, 1), document(1, 2, 1), document(1, 1, 1, "b")])
def test_a_document_that_does_not_fit_the_stream_names_a_stranger(wrong: dict[str, Any]) -> None:
    assert not given_up([wrong], PLACES) & set(PLACES.values())


def test_a_notice_of_a_topic_names_partition_and_offsets() -> None:
    records = {"firstRecordOffset": "4", "lastRecordOffset": "4"}
    document = {"KafkaBatchInfo": {"batchSize": 1, "recordsInfo": {"parcels-2": records}}}
    places = {Place("parcels-2", 4): "p4", Place("parcels-1", 4): "other", Place("parcels-2", 5): "p5"}
    assert given_up([document], places) == {"p4"}


@given(st.permutations([message.id for message in GROUP]))
def test_any_other_order_than_the_groups_is_noticed(order: list[str]) -> None:
    assert account(GROUP, done(*order)).balanced == (order == [message.id for message in GROUP])


@pytest.mark.parametrize(
    "messages", [orders(), payments(), clicks(), changes()], ids=["orders", "payments", "clicks", "changes"]
)
def test_the_workload_has_all_natures_and_every_id_once(messages: list[Message]) -> None:
    assert {message.nature for message in messages} == set(Nature)
    assert len({message.id for message in messages}) == len(messages)
    assert 100 <= len(messages) <= 500
