"""The test of the tests: what goes wrong where partitions move, planted once, must be seen."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from msgspec import structs

from esm.checkpoint import Budget, Checkpoint
from esm.core.log import packing
from esm.core.log.ledger import Ledger
from esm.core.log.parts import Part
from esm.model import Lane
from esm.runtime.log.group import GroupMapping
from esm.testing import loop
from esm.testing.group.fake import FakeGroup, FakeMember, Position
from esm.testing.group.source import Link
from sim.group_history import GroupHistory
from sim.history import Violation

SEEDS = 200


async def _play(history: GroupHistory) -> None:
    await history.play()


async def _play_calm(history: GroupHistory) -> None:
    await history.play_calm()


async def _play_failing(history: GroupHistory) -> None:
    """Partitions move, and functions fail, but nothing else does."""
    history.faults.rates.clear()
    history.faults.rates["function error"] = 0.5
    history.events = ["start", "crash"]
    await history.play(disturbances=12)


async def _play_short(history: GroupHistory) -> None:
    """Whoever is not done in half an hour never is."""
    history.faults.rates.clear()
    history.forever = 1800.0
    await history.play()


def seen(how: Callable[[GroupHistory], Any] = _play, **fixed: Any) -> bool:
    """Whether any of the seeds fails, with these options of the mapping."""

    async def play(seed: int) -> None:
        await how(GroupHistory(seed, **fixed))

    for seed in range(SEEDS):
        try:
            loop.run(play(seed))
        except BaseExceptionGroup as group:
            if group.subgroup(Violation):
                return True
            raise
        except Violation:
            return True
    return False


@pytest.mark.timeout(300)
def test_a_commit_after_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: FakeGroup, member: FakeMember, lane: str, position: Position) -> None:
        self.positions[lane] = position
        self.committed(member, lane, position)

    monkeypatch.setattr(FakeGroup, "commit", careless)
    monkeypatch.setattr(Link, "may_write", lambda self, lane: lane in self.member.told)
    assert seen()


@pytest.mark.timeout(300)
def test_committing_the_highest_instead_of_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Ledger.checkpoint

    def careless(self: Ledger, *, clean: bool) -> Checkpoint:
        honest = checkpoint(self, clean=clean)
        settled = [span.last for span in honest.spans if span.part is None]
        return structs.replace(honest, at=max(settled), spans=(), parts=()) if settled else honest

    monkeypatch.setattr(Ledger, "checkpoint", careless)
    assert seen()


@pytest.mark.timeout(300)
def test_a_lane_that_is_cut_off_instead_of_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: GroupMapping, name: str, patience: Any) -> None:
        if name not in self._ours:
            patience.reschedule(0.0)

    monkeypatch.setattr(GroupMapping, "_drain", careless)
    assert seen(_play_calm)


@pytest.mark.timeout(300)
def test_a_lane_that_is_never_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shares the lanes out takes us for dead, although we had been told how long there is."""
    monkeypatch.setattr(GroupMapping, "_drain", lambda *_: None)

    async def play(history: GroupHistory) -> None:
        history.faults.rates.clear()
        history.faults.rates["slow function"] = 0.5
        history.group.patience, history.events = 12.0, ["start"]
        await history.play()
        if history.faults.fired["revoke too slow"]:
            raise Violation("taken for dead")

    assert seen(play)


@pytest.mark.timeout(300)
def test_a_budget_that_does_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = packing._budget
    monkeypatch.setattr(packing, "_budget", lambda _, since: budget(Budget(), since))
    assert seen(_play_failing, maximum_retry_attempts=3, batch_size=1, bisect=False)


@pytest.mark.timeout(300)
def test_one_lane_run_by_two_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: FakeMember, lanes: Any, _within: float) -> bool:
        self.leaving.update(lanes)
        self.wake()
        return True

    monkeypatch.setattr(FakeMember, "gives_up", careless)
    assert seen(_play_calm)


@pytest.mark.timeout(300)
def test_a_lane_that_is_given_to_us_and_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = GroupMapping._wanted

    async def careless(self: GroupMapping, membership: Any, over: Any) -> AsyncIterator[Mapping[str, Lane]]:
        first: Mapping[str, Lane] | None = None
        async for lanes in wanted(self, membership, over):
            first = first or lanes
            yield {name: lane for name, lane in lanes.items() if name in first}

    monkeypatch.setattr(GroupMapping, "_wanted", careless)
    assert seen(_play_short)


@pytest.mark.timeout(300)
def test_a_call_sent_again_without_a_place_for_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash then begins its budget anew, as often as it happens."""

    def careless(self: Ledger, owner: Any) -> bool:
        for index, part in enumerate(owner.parts):
            owner.parts[index] = structs.replace(part, cover=())
        return True

    monkeypatch.setattr(Ledger, "has_place", careless)
    monkeypatch.setattr("esm.core.log.ledger.written", lambda *_: list[Part]())
    assert seen(_play_failing, maximum_retry_attempts=3, batch_size=1, bisect=False, parallelization_factor=10)


@pytest.mark.parametrize("how", [_play, _play_calm, _play_failing, _play_short])
def test_the_seeds_pass_without_a_bug(how: Callable[[GroupHistory], Any]) -> None:
    async def play(seed: int) -> None:
        await how(GroupHistory(seed))

    for seed in range(40):
        loop.run(play(seed))
