"""Hundreds of seeded histories of the log lane (thousands by `make sim SEEDS=5000`)."""

import asyncio
import os
from collections import Counter

import pytest

from esm.testing import loop
from sim.log_history import EVENTS, FAULTS, RARE, TOLD, LogHistory
from sim.test_queue_lane import noted

SEEDS = int(os.environ.get("SIM_SEEDS", "300"))
CHUNK = 25

_fired: Counter[str] = Counter()


async def play(seed: int) -> None:
    history = LogHistory(seed)
    await history.play()
    _fired.update(history.faults.fired)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"


async def play_killers(seed: int) -> int:
    return await LogHistory(seed, {}).play_killers()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_lost_nothing_overtakes_no_commit_too_far(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        with noted(seed):
            loop.run(play(seed))


@pytest.mark.timeout(600)
def test_records_that_kill_whoever_sends_them_end_in_the_destination() -> None:
    deaths = 0
    for seed in range(SEEDS // 3):
        with noted(seed):
            deaths += loop.run(play_killers(seed))
    assert deaths > SEEDS // 3


def test_every_fault_has_fired() -> None:
    if SEEDS < 100:
        pytest.skip("too few seeds to expect every fault")
    silent = {*FAULTS, *RARE, *EVENTS, *TOLD.values()} - {kind for kind, count in _fired.items() if count}
    assert not silent
