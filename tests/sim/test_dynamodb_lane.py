"""Seeded histories of a mapping from a DynamoDB table (more by `make sim SEEDS=5000`), and bugs it must see."""

import asyncio
import os
from collections import Counter
from collections.abc import Collection
from typing import Any

import pytest

from esm.core.log.lineage import Sightings
from esm.model import Lane
from esm.runtime.log import mapping as log_mapping
from esm.sources.dynamodb import DynamoSource
from esm.testing import loop
from sim.planted import sees
from sim.table_history import EVENTS, FAULTS, TableHistory
from sim.test_queue_lane import noted

SEEDS = max(60, int(os.environ.get("SIM_SEEDS", "300")) // 3)
CHUNK = 15

_fired: Counter[str] = Counter()
_delivered: Counter[str] = Counter()


async def play(seed: int) -> None:
    history = TableHistory(seed)
    await history.play()
    _fired.update(history.faults.fired)
    _delivered["records"] += len(history.oracle.delivered)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_items_come_in_order_through_shards_and_streams_and_none_is_lost(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        with noted(seed):
            loop.run(play(seed))


def test_everything_that_can_go_wrong_has() -> None:
    silent = {*FAULTS, *EVENTS} - {kind for kind, count in _fired.items() if count}
    assert not silent
    assert _delivered["records"] > 50 * SEEDS


def seen(**fixed: Any) -> bool:
    """Whether any of the seeds fails."""

    async def play(seed: int) -> None:
        await TableHistory(seed, **fixed).play()

    return sees(play, SEEDS)


@pytest.mark.timeout(300)
def test_shards_that_do_not_wait_for_those_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(sightings: Sightings, running: dict[str, Lane], ended: set[str]) -> dict[str, Lane]:
        return {name: lane for name, lane in {**sightings.lanes, **running}.items() if name not in ended}

    monkeypatch.setattr(log_mapping, "runnable", careless)
    assert seen()


@pytest.mark.timeout(300)
def test_a_former_stream_that_is_forgotten_by_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: DynamoSource, lanes: Collection[str]) -> None:
        return

    monkeypatch.setattr(DynamoSource, "recall", careless)
    assert seen(by_table=True)


@pytest.mark.timeout(300)
def test_listings_that_are_believed_although_a_shard_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esm.sources.dynamodb.lineage._complete", lambda stream: stream)
    assert seen()
