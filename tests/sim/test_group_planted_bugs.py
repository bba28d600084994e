"""The test of the tests: what goes wrong where partitions move, planted once, must be seen."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs

from esm.checkpoint import Budget, Checkpoint
from esm.core.log import packing
from esm.core.log.ledger import Keeps, LaneRule, Ledger
from esm.core.log.parts import Part
from esm.model import Lane, Record
from esm.runtime.log import lane as log_lane
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


async def _play_trading(history: GroupHistory) -> None:
    history.forever = 7200.0
    await history.play_trading()


async def _play_killers(history: GroupHistory) -> None:
    await history.play_killers()


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


@pytest.mark.timeout(300)
def test_a_budget_that_is_forgotten_where_a_partition_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that fails while its partition is traded has failed once more, whoever tries it next."""
    checkpoint = Ledger.checkpoint

    def careless(self: Ledger, *, clean: bool) -> Checkpoint:
        honest = checkpoint(self, clean=clean)
        return structs.replace(honest, parts=tuple(Budget() for _ in honest.parts)) if clean else honest

    monkeypatch.setattr(Ledger, "checkpoint", careless)
    assert seen(_play_trading, maximum_retry_attempts=3)


@pytest.mark.timeout(300)
def test_records_that_kill_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written down before it is sent: whoever comes next does not know what killed the last."""
    budget = packing._budget
    monkeypatch.setattr(packing, "_budget", lambda _, since: budget(Budget(), since))
    assert seen(_play_killers)


@pytest.mark.timeout(300)
def test_filters_that_a_lane_loses_when_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(Ledger):
        def __init__(self, checkpoint: Checkpoint, rule: LaneRule, keeps: Keeps | None = None) -> None:
            super().__init__(checkpoint, rule, keeps if checkpoint.at in {None, -1} else None)

    monkeypatch.setattr(log_lane, "Ledger", Careless)
    assert seen()


@pytest.mark.timeout(300)
def test_what_is_filtered_and_never_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset stays below the first record that no filter lets pass."""

    def careless(self: Ledger, records: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
        return [record for record in records if self._keeps is None or self._keeps(record)], ()

    monkeypatch.setattr(Ledger, "_sifted", careless)
    assert seen(_play_short)


@pytest.mark.timeout(300)
def test_a_partition_that_begins_with_what_comes_when_it_is_found_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came to a new partition before somebody looked is passed over."""
    monkeypatch.setattr(FakeGroup, "since_beginning", lambda self, lane, _: self.end(lane))
    assert seen(_play)


@pytest.mark.parametrize("how", [_play, _play_calm, _play_failing, _play_short, _play_trading, _play_killers])
def test_the_seeds_pass_without_a_bug(how: Callable[[GroupHistory], Any]) -> None:
    async def play(seed: int) -> None:
        await how(GroupHistory(seed))

    for seed in range(20):
        loop.run(play(seed))
