"""The account of a group notices what it is there for; nothing else would say so when it does not."""

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from random import Random
from typing import Any

import pytest

from .consumer import Consumer, DeadLetters, Fickle, kafka_record
from .function import Call, Function
from .group_account import WHO, Change, Checkpoint, GroupAccount, Member
from .journal import Visit
from .stream_account import Accepted

LANE = "t-0"
SENT = [Accepted(f"k/{number}", LANE, number) for number in range(3)]
ONE = Visit("k/1", 12.0, 13.0, 0, done=True, batch="a1")
FINE = [
    Visit("k/0", 10.0, 11.0, 0, done=True, batch="a0"),
    ONE,
    Visit("k/2", 14.0, 15.0, 0, done=True, batch="a2"),
]
AGAIN = Visit("k/1", 16.0, 17.0, 0, done=True, batch="b1")
QUIET = Member(set(), (), ())
Account = Callable[..., GroupAccount]


@pytest.fixture
def account(tmp_path: Path) -> Account:
    """A batch is called after the daemon that sent it."""

    def made(visits: list[Visit], members: Mapping[str, Member] | None = None) -> GroupAccount:
        dead = DeadLetters(tmp_path / "dead.jsonl", kafka_record)
        fickle = Fickle(Random(1), dead)
        witness = Consumer(Function(kafka_record), dead, fickle)
        witness.journal.visits += visits
        batches = {visit.batch for visit in visits}
        fickle.held |= dict.fromkeys(batches, 0)
        witness.served.calls += [
            Call(0.0, (), (), (), {"X-ESM-Batch-Id": batch, WHO: batch[0]}) for batch in batches
        ]
        return GroupAccount(SENT, witness, {"a": QUIET, "b": QUIET, **(members or {})})

    return made


def _member(*, took: str = "", at: float = 0.0, upto: int = -1, told: float = 0.0, killed: float = inf) -> Member:
    return Member(set(), [Change(at, LANE, took)], [Checkpoint(told, LANE, upto)], killed)


def test_what_is_fine_balances(account: Account) -> None:
    account(FINE).balances()


def test_a_lost_record_is_noticed(account: Account) -> None:
    with pytest.raises(AssertionError, match=r"'lost': \['k/2'\]"):
        account(FINE[:2]).balances()


def test_a_record_that_overtakes_at_another_daemon_is_noticed(account: Account) -> None:
    early = Visit("k/1", 10.5, 10.8, 0, done=True, batch="b1")
    with pytest.raises(AssertionError, match="k/1 before k/0"):
        account([FINE[0], early, FINE[2]]).balances()


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({}, ""),
        ({"a": _member(killed=13.5)}, "kill"),
        ({"a": _member(killed=16.5)}, ""),
        ({"a": _member(killed=13.5, upto=1, told=13.2)}, ""),
        ({"a": _member(killed=13.5, upto=0, told=13.2)}, "kill"),
        ({"a": _member(took="lost", at=13.5)}, "rebalance"),
        ({"a": _member(took="lost", at=11.8)}, "rebalance"),
        ({"a": _member(took="lost", at=11.0)}, ""),
        ({"a": _member(took="revoked", at=12.5)}, "rebalance"),
        ({"a": _member(took="revoked", at=13.5)}, ""),
        ({"b": _member(took="lost", at=18.0), "a": _member(upto=1, told=13.5)}, "rebalance"),
        ({"b": _member(took="lost", at=15.0)}, ""),
    ],
    ids=[
        "untold",
        "killed",
        "killed only afterwards",
        "killed, but written down",
        "killed, and the one before it written down",
        "lost",
        "lost while it was on its way",
        "lost before",
        "asked back while it was under way",
        "asked back when it was finished",
        "the other was not the owner any more, and did not know",
        "the other had lost it before",
    ],
)  # fmt: skip
def test_what_comes_again_needs_a_reason(account: Account, members: dict[str, Any], why: str) -> None:
    assert account([*FINE, AGAIN], members).again() == {why: 1}


@pytest.mark.parametrize("by", ["a", "b"])
def test_a_retry_that_was_told_is_a_reason_for_what_was_not_done(account: Account, by: str) -> None:
    told = {"a": Member({"a1"}, (), ())}
    failed = Visit("k/1", 12.0, 13.0, 0, done=False, batch="a1")
    again = Visit("k/1", 13.5, 13.8, 0, done=True, batch=f"{by}9")
    assert account([FINE[0], failed, again, FINE[2]], told).again() == {"retry": 1}
    assert account([*FINE, AGAIN], told).again() == {"": 1}


@pytest.mark.parametrize(
    ("lane", "at", "early"), [(LANE, 5.0, {"k/0", "k/1", "k/2"}), (LANE, -1.0, set()), ("t-1", 5.0, set())]
)
def test_only_what_was_there_when_a_call_was_cut_off_may_be_given_up_early(
    account: Account, lane: str, at: float, early: set[str]
) -> None:
    members = {"a": Member(set(), (), (), cut_off=[Change(at, lane, "cut off")])}
    assert account(FINE, members).cut_off() == early


def test_a_partition_that_was_silent_is_noticed(account: Account) -> None:
    late = Visit("k/2", 44.0, 45.0, 0, done=True, batch="a2")
    seconds, lane = account([*FINE[:2], late]).longest_silence()
    assert (seconds, lane) == (32.0, LANE)
