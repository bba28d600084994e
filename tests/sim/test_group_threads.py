"""Histories of a topic whose source is the one of Kafka: rebalances are callbacks in a thread of its own.

What goes wrong between that thread and the event loop, planted once, must be seen.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import pytest
from confluent_kafka import Consumer

from esm.core.filtering.sources import KAFKA
from esm.model import RebalanceKind
from esm.sources.kafka.commits import Commits
from esm.sources.kafka.membership import GroupMembership
from esm.sources.kafka.poller import Poller
from esm.sources.kafka.rows import GroupRows
from esm.testing import loop
from sim.group_history import GroupHistory
from sim.group_world import Wiring
from sim.kafka_wiring import ThreadedSource, ids_of, instead_of_brokers
from sim.planted import sees
from sim.test_queue_lane import noted

SEEDS = int(os.environ.get("SIM_SEEDS", "200")) // 5
MET = (
    "open fails", "join fails", "slow call", "read fails", "commit refused", "commit answer lost",
    "positions unreadable", "start", "stop", "crash", "pause", "fenced", "away", "more partitions", "trimmed",
    "poison", "session over", "cooperative", "eager", "revoked", "bisected", "dropped", "lane lost",
    "records lost",
)  # fmt: skip
"""What must have happened once, of all that can."""

_fired: Counter[str] = Counter()


def _source(history: GroupHistory, name: str) -> ThreadedSource:
    return ThreadedSource(history.group, history.faults, name, drain=5.0, latest=history.latest)


def history(seed: int) -> GroupHistory:
    """No record is too large: each would be one of six megabytes."""
    made = GroupHistory(seed, Wiring(_source, ids_of, KAFKA))
    made.large = 0.0
    return made


async def play(seed: int) -> None:
    made = history(seed)
    with instead_of_brokers():
        await made.play()
    _fired.update(made.faults.fired)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"


async def play_calm(seed: int) -> None:
    made = history(seed)
    made.forever = 1800.0
    with instead_of_brokers():
        await made.play_calm()


@pytest.mark.timeout(300)
def test_nothing_lost_nothing_overtakes_no_commit_too_far() -> None:
    for seed in range(SEEDS):
        with noted(seed):
            loop.run(play(seed))
    assert SEEDS < 40 or not set(MET) - (+_fired).keys()


@pytest.mark.timeout(300)
def test_partitions_that_move_in_peace_bring_no_duplicate() -> None:
    for seed in range(SEEDS // 2):
        with noted(seed):
            loop.run(play_calm(seed))


@pytest.mark.timeout(300)
def test_a_history_is_the_same_each_time() -> None:
    """Although there are threads."""

    async def fired(seed: int) -> tuple[Counter[str], float]:
        made = history(seed)
        with instead_of_brokers():
            await made.play()
        return made.faults.fired, made.now()

    for seed in range(5):
        assert loop.run(fired(seed)) == loop.run(fired(seed))


@pytest.mark.timeout(300)
def test_planted_a_callback_that_does_not_wait_for_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Poller, "_see_off", lambda *_: None)
    assert sees(play_calm, 40)


@pytest.mark.timeout(300)
def test_planted_lanes_let_go_before_the_engine_has_left_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: GroupMembership, partitions: Collection[int], gone: Callable[[], None]) -> None:
        lanes = frozenset(f"t-{number}" for number in partitions)
        self._become(self._ours - lanes, RebalanceKind.REVOKED, lanes)
        self.rows.left(lanes)
        gone()

    monkeypatch.setattr(GroupMembership, "leaving", careless)
    assert sees(play_calm, 40)


@pytest.mark.timeout(300)
def test_planted_no_commit_while_lanes_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lanes wait for an answer that only a poll brings, and the callback waits for the lanes."""

    def careless(self: Poller, _: Consumer, gone: Any) -> None:
        until = self._world.monotonic() + self._patience
        while not gone.is_set() and self._world.monotonic() < until:
            gone.wait(1.0)

    monkeypatch.setattr(Poller, "_see_off", careless)
    assert sees(play_calm, 40)


@pytest.mark.timeout(300)
def test_planted_commits_that_nobody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client may send one again after a newer one: the position goes back."""

    def careless(self: Commits, consumer: Consumer) -> None:
        for asked in self._take().values():
            consumer.commit(offsets=[asked.place], asynchronous=True)
            asked.done(None)

    monkeypatch.setattr(Commits, "send", careless)
    assert sees(play_calm, 40)


@pytest.mark.timeout(300)
def test_planted_a_thread_that_commits_what_is_not_ours_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: Poller, consumer: Consumer, numbers: Collection[int]) -> None:
        self.readings.drop(consumer, numbers)

    monkeypatch.setattr(Poller, "_drop", careless)
    monkeypatch.setattr(GroupRows, "left", lambda *_: None)
    assert sees(play, 200)


@pytest.mark.timeout(300)
def test_planted_rows_that_are_remembered_from_an_earlier_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: GroupRows, lanes: Collection[str]) -> None:
        for lane in lanes:
            self._ours.pop(lane, None)

    monkeypatch.setattr(GroupRows, "left", forgetful)
    monkeypatch.setattr(GroupRows, "_begin", lambda self, lanes: self._ours.update(dict.fromkeys(lanes, 0)))
    assert sees(play, 200)
