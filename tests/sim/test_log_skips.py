"""An operator skips what is stuck for ever, whatever else goes wrong: the destination gets that, and no more."""

import asyncio
import json
import os

import pytest

from esm.checkpoint import Checkpoint, LaneRow
from esm.core.log.moving import skipped, spans_of, stuck
from esm.model import Notice
from esm.testing import loop
from sim.history import must
from sim.log_history import LogHistory
from sim.log_world import FakeDestination
from sim.test_queue_lane import noted

SEEDS = int(os.environ.get("SIM_SEEDS", "300")) // 3
PATIENCE = 3
"""Attempts that the operator waits for."""


class Operator:
    """Looks at the rows now and then, and gives up what has failed. `marked` are the ids of those records."""

    def __init__(self, history: LogHistory) -> None:
        self._history = history
        self.marked: set[str] = set()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._history.chance.choice([1.0, 30.0, 200.0]))
            for row in await self._history.store.rows.view("id"):
                await self._look_at(row)

    async def _look_at(self, row: LaneRow) -> None:
        checkpoint = row.checkpoint or Checkpoint()
        number = stuck(checkpoint)
        if number is None or checkpoint.parts[number].attempts < PATIENCE:
            return
        spans = spans_of(checkpoint, number)
        entries = self._history.oracle.by_shard[row.lane]
        ids = {each.id for each in entries for span in spans if span.first <= each.position <= span.last}
        if await self._history.store.rows.swap(row, skipped(row, number, f"operator {len(self.marked)}")):
            self.marked |= ids


class Witness:
    """Sees what the destination is given."""

    def __init__(self, destination: FakeDestination, operator: Operator) -> None:
        self._destination = destination
        self._operator = operator

    async def deliver(self, notice: Notice) -> None:
        ids = set(json.loads(notice.event))
        if notice.document["requestContext"]["condition"] == "RetryAttemptsExhausted":
            must(ids <= self._operator.marked, f"given up, but not by the operator: {ids - self._operator.marked}")
        await self._destination.deliver(notice)


async def play(seed: int) -> int:
    """How many records the operator gave up."""
    history = LogHistory(seed, maximum_retry_attempts=None, maximum_record_age=None)
    history.oracle.exact_budget = False
    operator = Operator(history)
    history.destination = Witness(history.destination, operator)  # type: ignore[assignment]
    async with asyncio.TaskGroup() as tasks:
        at_work = tasks.create_task(operator.run())
        await history.play()
        at_work.cancel()
    return len(operator.marked)


@pytest.mark.timeout(600)
def test_what_an_operator_skips_ends_in_the_destination_and_nothing_else_does() -> None:
    given_up = 0
    for seed in range(SEEDS):
        with noted(seed):
            given_up += loop.run(play(seed))
    assert given_up > SEEDS / 2
