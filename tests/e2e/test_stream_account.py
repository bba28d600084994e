"""The account of a stream notices what it is there for; nothing else would say so when it does not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from .consumer import Consumer, DeadLetters, Fickle, kinesis_record
from .function import Function
from .journal import Visit
from .stream_account import Accepted, Life, Stall, StreamAccount

PARENT, CHILD = "shardId-0", "shardId-1"
SENT = [
    Accepted("a/0", PARENT, 10, since=1.0),
    Accepted("b/0", PARENT, 11, since=1.0),
    Accepted("a/1", PARENT, 12, since=2.0),
    Accepted("b/1", CHILD, 20, since=3.0),
]
FINE = [
    Visit("a/0", 10.0, 11.0, 0, done=True, batch="1"),
    Visit("b/0", 10.0, 11.0, 0, done=True, batch="1"),
    Visit("a/1", 12.0, 13.0, 0, done=True, batch="2"),
    Visit("b/1", 14.0, 15.0, 0, done=True, batch="3"),
]
AGAIN = Visit("a/1", 16.0, 17.0, 0, done=True, batch="4")
Account = Callable[..., StreamAccount]


@pytest.fixture
def account(tmp_path: Path) -> Account:
    """Of these visits in these lives."""

    def made(visits: Sequence[Visit], *lives: Life) -> StreamAccount:
        dead = DeadLetters(tmp_path / "dead.jsonl", kinesis_record)
        fickle = Fickle(Random(1), dead)
        witness = Consumer(Function(kinesis_record), dead, fickle)
        witness.journal.visits += visits
        fickle.held |= {visit.batch: 0 for visit in visits}
        return StreamAccount(SENT, {CHILD: [PARENT]}, witness, lives or [_life(0.0)])

    return made


def _life(began: float, *, killed: bool = False, read_from: int | None = None, retried: str = "") -> Life:
    read = {"message": "lane is read", "lane": PARENT, "position": None if read_from is None else str(read_from)}
    return Life(began, killed, [read, {"message": "records are sent again", "batch_id": retried}])


def test_what_is_fine_balances(account: Account) -> None:
    account(FINE).balances()


def test_a_lost_record_is_noticed(account: Account) -> None:
    with pytest.raises(AssertionError, match=r"'lost': \['a/1'\]"):
        account([FINE[0], FINE[1], FINE[3]]).balances()


def test_a_record_that_overtakes_its_key_is_noticed(account: Account) -> None:
    early = Visit("a/1", 10.5, 10.8, 0, done=True, batch="2")
    assert account([FINE[0], FINE[1], early, FINE[3]]).overtakers() == ["a/1 before a/0"]


def test_a_child_before_its_parent_is_done_is_noticed(account: Account) -> None:
    early = Visit("b/1", 12.5, 15.0, 0, done=True, batch="3")
    found = account([*FINE[:3], early])
    assert found.overtakers() == []
    assert found.hasty_children() == [f"{CHILD} before a/1 of {PARENT}"]


@pytest.mark.parametrize(
    ("lives", "why"),
    [
        ([_life(0.0)], ""),
        ([_life(0.0, retried="2")], "retry"),
        ([_life(0.0, killed=True), _life(15.5, read_from=11)], "restart"),
        ([_life(0.0, killed=True), _life(15.5, read_from=12)], ""),
        ([_life(0.0), _life(15.5, read_from=11)], ""),
    ],
    ids=["untold", "retried", "killed", "killed, but it had been written down", "stopped in order"],
)
def test_what_comes_again_needs_a_reason(account: Account, lives: Sequence[Life], why: str) -> None:
    assert account([*FINE, AGAIN], *lives).again() == {why: 1}


def test_the_longest_stall_is_measured_while_there_is_data(account: Account) -> None:
    """From the first record that was there to the first call."""
    assert account(FINE, _life(0.0), _life(9.0)).longest_stall() == Stall(9.0, restarts=1)
