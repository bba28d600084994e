"""The test of the tests: each bug known from engines of this kind, planted, must be seen by the oracle."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import pytest

from esm.core.buffers import KeyedBuffer
from esm.core.filtering import FilterSet
from esm.core.queue.holding import Holding
from esm.model import Record, Verdict
from esm.runtime.calling.circuit import Circuit
from esm.runtime.calling.shared import SharedTarget
from esm.runtime.queue.custody import Custody
from esm.runtime.queue.delivery import Answered, Delivery
from esm.runtime.queue.slots import Slots
from esm.runtime.sieve import Sieve
from esm.testing import loop
from sim.history import History
from sim.planted import sees
from sim.test_queue_lane import _play, _play_leaky, _play_neutral

SEEDS = 150


def seen(play: Callable[[int], Any]) -> bool:
    """Whether any of the seeds fails."""
    return sees(play, SEEDS, AssertionError)


@pytest.mark.timeout(300)
def test_groups_that_are_unlocked_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    take = KeyedBuffer.take

    def careless(self: KeyedBuffer, limit: int, room: int) -> list[Record]:
        batch = take(self, limit, room)
        self.unlock(batch)
        return batch

    monkeypatch.setattr(KeyedBuffer, "take", careless)
    assert seen(_play_leaky)


@pytest.mark.timeout(300)
def test_a_group_that_goes_on_behind_its_failed_record(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: Custody, records: Iterable[Record]) -> None: ...

    monkeypatch.setattr(Custody, "_free_behind", careless)
    assert seen(_play_leaky)


@pytest.mark.timeout(300)
def test_deleting_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = Custody.settle

    async def careless(self: Custody, batch_id: str, batch: list[Record], verdict: Verdict) -> None:
        await settle(self, batch_id, batch, Verdict(verdict.outcome, done=tuple(batch)))

    monkeypatch.setattr(Custody, "settle", careless)
    assert seen(_play)


@pytest.mark.timeout(300)
def test_deleting_before_the_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Delivery.send

    async def careless(self: Delivery, batch: list[Record]) -> Answered | None:
        await self.custody._reader.settle(batch, (), ())
        return await send(self, batch)

    monkeypatch.setattr(Delivery, "send", careless)
    assert seen(_play)


@pytest.mark.timeout(300)
def test_no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: Custody) -> None:
        self._holding.due(self._now(), self._reader.terms)

    monkeypatch.setattr(Custody, "extend", careless)
    assert seen(_play_neutral)


@pytest.mark.timeout(300)
def test_a_refusal_that_lets_the_batch_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: Delivery, *args: object) -> bool:
        return True

    monkeypatch.setattr(Delivery, "_pause", careless)
    assert seen(_play_neutral)


@pytest.mark.timeout(300)
def test_a_message_received_twice_taken_for_two(monkeypatch: pytest.MonkeyPatch) -> None:
    admit = Holding.admit

    def careless(self: Holding, records: Any, *args: Any) -> list[Record]:
        admit(self, records, *args)
        return list(records)

    monkeypatch.setattr(Holding, "admit", careless)
    assert seen(_play)


@pytest.mark.timeout(300)
def test_a_filter_that_deletes_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = Sieve.dropped

    def careless(self: Sieve, records: list[Record]) -> list[Record]:
        return records if dropped(self, records) else []  # the rest of its page with it

    monkeypatch.setattr(Sieve, "dropped", careless)
    assert seen(_play)


@pytest.mark.timeout(300)
def test_a_filter_that_lets_everything_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FilterSet, "keeps", lambda self, view: True)
    assert seen(_play)


@pytest.mark.timeout(300)
def test_more_batches_than_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slots, "free", property(lambda self: 1))
    assert seen(_play)


@pytest.mark.timeout(300)
def test_a_cap_of_the_engine_that_binds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: SharedTarget, *args: object) -> None:
        return

    monkeypatch.setattr(SharedTarget, "_take_of_engine", careless)
    assert seen(_play)


@pytest.mark.timeout(300)
def test_a_probe_that_never_gives_its_turn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = Circuit.passed

    async def careless(self: Circuit, mapping: str, permit: ExitStack) -> Callable[[], bool]:
        return await passed(self, mapping, ExitStack())

    monkeypatch.setattr(Circuit, "passed", careless)
    assert seen(_play)


def test_the_seeds_pass_without_a_bug() -> None:
    async def play(seed: int) -> None:
        await History(seed).play()

    for seed in range(10):
        loop.run(play(seed))
