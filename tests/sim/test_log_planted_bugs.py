"""The test of the tests: each bug known from engines of this kind, planted in the log lane, must be seen."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec import structs

from esm.checkpoint import Budget, Checkpoint, Span
from esm.core.log import checkpoints
from esm.core.log.judging import LogVerdict, RetryRule, judge_log
from esm.core.log.ledger import Ledger
from esm.core.log.parts import Owner, Part
from esm.core.log.restoring import Restoration, Restored
from esm.model import Drop, Lane, Refused, Reply
from esm.runtime.log import mapping as log_mapping
from esm.runtime.log import turns
from esm.runtime.log.committer import Committer
from esm.runtime.log.row import HeldRow
from esm.runtime.log.turns import Turns
from esm.testing import loop
from sim.log_history import LogHistory
from sim.planted import sees

SEEDS = 300


async def _play(history: LogHistory) -> None:
    await history.play()


async def _play_failing(history: LogHistory) -> None:
    """Much fails, and there are many crashes meanwhile."""
    history.spans = checkpoints.MOST_SPANS
    history.oracle.forgets = False
    history.faults.rates.update({"function error": 0.3, "slow function": 0.3, "outage": 0.0})
    await history.play(sessions=[8])


async def _play_slow(history: LogHistory) -> None:
    """Two crashes, most probably during a call."""
    history.faults.rates.update({"slow function": 0.9, "outage": 0.0})
    await history.play(sessions=[2])


async def _play_without_spans(history: LogHistory) -> None:
    """The same, and nothing is remembered of what is settled above that."""
    history.spans = 0
    history.oracle.forgets = True
    history.faults.rates.update({"function error": 0.3})
    await history.play(sessions=[4])


async def _play_killers(history: LogHistory) -> None:
    history.faults.rates.clear()
    await history.play_killers()


def seen(how: Callable[[LogHistory], Any] = _play, **fixed: Any) -> bool:
    """Whether any of the seeds fails, with these options of the mapping."""

    async def play(seed: int) -> None:
        await how(LogHistory(seed, **fixed))

    return sees(play, SEEDS)


@pytest.mark.timeout(300)
def test_committing_the_highest_instead_of_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Ledger.checkpoint

    def careless(self: Ledger, *, clean: bool) -> Checkpoint:
        honest = checkpoint(self, clean=clean)
        settled = [span.last for span in honest.spans if span.part is None]
        return structs.replace(honest, at=max(settled)) if settled else honest

    monkeypatch.setattr(Ledger, "checkpoint", careless)
    assert seen()


@pytest.mark.timeout(300)
def test_children_before_their_parents_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(sightings: Any, running: dict[str, Lane], ended: set[str]) -> dict[str, Lane]:
        return {name: lane for name, lane in {**sightings.lanes, **running}.items() if name not in ended}

    monkeypatch.setattr(log_mapping, "runnable", careless)
    assert seen()


@pytest.mark.timeout(300)
def test_a_refusal_that_costs_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(part: Part, reply: Reply, rule: RetryRule, now: float) -> LogVerdict:
        verdict = judge_log(part, reply, rule, now)
        if not isinstance(reply, Refused):
            return verdict
        budget = Budget(part.budget.attempts + 1, now)
        return structs.replace(verdict, pending=(structs.replace(part, budget=budget),))

    monkeypatch.setattr(turns, "judge_log", careless)
    assert seen()


@pytest.mark.timeout(300)
def test_committing_before_the_destination_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: Turns, owner: Owner, drop: Drop) -> None:
        self._finish(owner, drop.records)
        await self.committer.durable(60.0)
        await self.dropping.drop(drop)
        self._go_on(owner)

    monkeypatch.setattr(Turns, "_give_up", careless)
    assert seen()


@pytest.mark.timeout(300)
def test_settling_before_the_destination_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: Turns, owner: Owner, drop: Drop) -> None:
        self._finish(owner, drop.records)
        await self.dropping.drop(drop)
        self._go_on(owner)

    monkeypatch.setattr(Turns, "_give_up", careless)
    assert seen()


@pytest.mark.timeout(300)
def test_keys_that_are_unlocked_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Ledger.take

    def careless(self: Ledger, free: int) -> Owner:
        owner = take(self, free)
        self.buffer.unlock_keys(owner.keys)
        return owner

    monkeypatch.setattr(Ledger, "take", careless)
    assert seen(parallelization_factor=10, batch_size=4)


@pytest.mark.timeout(300)
def test_keys_of_an_owner_that_came_back_left_unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    from esm.core.buffers import KeyedBuffer

    monkeypatch.setattr(KeyedBuffer, "lock", lambda self, keys: None)
    assert seen(parallelization_factor=10)


@pytest.mark.timeout(300)
def test_a_budget_that_a_restart_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    build = checkpoints.build

    def careless(*args: Any, **kwargs: Any) -> Checkpoint:
        honest = build(*args, **kwargs)
        return structs.replace(honest, parts=tuple(Budget() for _ in honest.parts))

    monkeypatch.setattr("esm.core.log.ledger.build", careless)
    assert seen(_play_failing, maximum_retry_attempts=1, batch_size=1)


@pytest.mark.timeout(300)
def test_a_call_that_is_not_written_down_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: Turns, owner: Owner) -> bool:
        return True

    monkeypatch.setattr(Turns, "_announce", careless)
    assert seen(_play_killers)


@pytest.mark.timeout(300)
def test_giving_up_on_a_crash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(part: Part, rule: RetryRule) -> bool:
        return rule.attempts is not None and part.budget.attempts > rule.attempts

    monkeypatch.setattr("esm.core.log.judging._is_spent", careless)
    assert seen(_play_slow, maximum_retry_attempts=0, bisect=False, batch_size=1)


@pytest.mark.timeout(300)
def test_a_span_that_swallows_records_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(part: Part, number: int) -> Sequence[Span]:
        return [Span(part.records[0].position, part.records[-1].position, number)]

    monkeypatch.setattr(checkpoints, "_spans", careless)
    assert seen(_play_failing, parallelization_factor=10, batch_size=4, maximum_retry_attempts=3)


@pytest.mark.timeout(300)
def test_fresh_records_before_all_that_failed_was_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Restoration, "is_open", property(lambda self: False))
    assert seen(parallelization_factor=2)


@pytest.mark.timeout(300)
def test_what_lies_below_a_part_taken_for_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Restoration.finish

    def careless(self: Restoration) -> Restored:
        restored = finish(self)
        everything = sorted([*restored.finished, *restored.fresh], key=lambda record: record.seq)
        return Restored(restored.parts, [], everything)

    monkeypatch.setattr(Restoration, "finish", careless)
    assert seen(_play_without_spans, parallelization_factor=10, batch_size=1, maximum_retry_attempts=3)


@pytest.mark.timeout(300)
def test_losing_the_lowest_spans_instead_of_the_highest(monkeypatch: pytest.MonkeyPatch) -> None:
    build = checkpoints.build

    def careless(at: Any, settled: Any, parts: Any, *, clean: bool) -> Checkpoint:
        return build(at, sorted(settled)[-1:], parts, clean=clean)

    monkeypatch.setattr("esm.core.log.ledger.build", careless)
    assert seen(_play_failing, parallelization_factor=10, batch_size=1, maximum_retry_attempts=3)


@pytest.mark.timeout(300)
def test_writing_a_row_that_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: HeldRow) -> None:
        from esm.runtime.log.row import find_row

        self._row = await find_row(self._store, self._row.scope, self._row.lane) or self._row

    monkeypatch.setattr(HeldRow, "_look_again", careless)
    assert seen()


@pytest.mark.timeout(300)
def test_a_waiter_told_before_its_snapshot_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    durable = Committer.durable

    async def careless(self: Committer, within: float) -> bool:
        self._asked -= 1
        return await durable(self, within)

    monkeypatch.setattr(Committer, "durable", careless)
    assert seen(_play_killers)


@pytest.mark.parametrize("how", [_play, _play_failing, _play_slow, _play_without_spans, _play_killers])
def test_the_seeds_pass_without_a_bug(how: Callable[[LogHistory], Any]) -> None:
    async def play(seed: int) -> None:
        await how(LogHistory(seed))

    for seed in range(30):
        loop.run(play(seed))
