"""Hundreds of seeded histories of a topic whose partitions move between engines."""

import asyncio
import os
from collections import Counter

import pytest

from esm.testing import loop
from sim.group_history import EVENTS, FAULTS, RARE, TOLD, GroupHistory
from sim.test_queue_lane import noted

SEEDS = int(os.environ.get("SIM_SEEDS", "200"))
CHUNK = 25

_fired: Counter[str] = Counter()


async def play(seed: int) -> None:
    history = GroupHistory(seed)
    await history.play()
    _fired.update(history.faults.fired)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"


async def play_calm(seed: int) -> None:
    await GroupHistory(seed).play_calm()


async def play_trading(seed: int) -> int:
    """How often a batch was out meanwhile."""
    history = GroupHistory(seed, maximum_retry_attempts=3)
    await history.play_trading()
    return history.faults.fired["trade while a batch is out"]


async def play_killers(seed: int) -> int:
    return await GroupHistory(seed).play_killers()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_lost_nothing_overtakes_no_commit_too_far(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        with noted(seed):
            loop.run(play(seed))


@pytest.mark.timeout(600)
def test_partitions_that_move_in_peace_bring_no_duplicate() -> None:
    for seed in range(SEEDS // 2):
        with noted(seed):
            loop.run(play_calm(seed))


@pytest.mark.timeout(600)
def test_budgets_are_kept_exactly_while_partitions_are_traded() -> None:
    busy = 0
    for seed in range(SEEDS // 10):
        with noted(seed):
            busy += loop.run(play_trading(seed))
    assert busy > SEEDS // 10


@pytest.mark.timeout(600)
def test_records_that_kill_whoever_sends_them_end_in_the_destination() -> None:
    deaths = 0
    for seed in range(SEEDS // 10):
        with noted(seed):
            deaths += loop.run(play_killers(seed))
    assert deaths > SEEDS // 10


def test_every_fault_has_fired() -> None:
    if SEEDS < 100:
        pytest.skip("too few seeds to expect every fault")
    silent = {*FAULTS, *RARE, *EVENTS, *TOLD.values()} - {kind for kind, count in _fired.items() if count}
    assert not silent
