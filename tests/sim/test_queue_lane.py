"""Hundreds of seeded histories of the queue lane (thousands by `make sim SEEDS=5000`)."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from msgspec import structs

from esm.testing import loop
from sim.history import FAULTS, LEAKY, NEUTRAL, History

SEEDS = int(os.environ.get("SIM_SEEDS", "300"))
CHUNK = 25

_fired: Counter[str] = Counter()


async def _play(seed: int) -> None:
    history = History(seed)
    await history.play()
    _fired.update(history.faults.fired)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"


async def _play_neutral(seed: int) -> None:
    history = History(seed, NEUTRAL)
    history.queue.max_receives = 1
    history.queue.terms = structs.replace(history.queue.terms, visibility=30.0)
    history.options = replace(history.options, max_hold=6 * 3600.0)
    await history.play(sessions=[0])
    assert not history.queue.dead, "a receive count was burnt"


async def _play_leaky(seed: int) -> None:
    history = History(seed, tuple(LEAKY), ordered=True)
    history.faults.rates.update(LEAKY)
    history.queue.max_receives = None
    history.queue.terms = structs.replace(history.queue.terms, visibility=2.0)
    history.options = replace(history.options, batch_size=10, concurrency=5)
    history.cap, history.cap_of_engine, history.per_second, history.oracle.most = None, None, None, 5
    await history.play()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_lost_nothing_overtakes(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        with noted(seed):
            loop.run(_play(seed))


@pytest.mark.timeout(600)
def test_refusals_and_slow_functions_burn_no_receive_count() -> None:
    for seed in range(SEEDS // 3):
        with noted(seed):
            loop.run(_play_neutral(seed))


@pytest.mark.timeout(600)
def test_order_survives_messages_that_slip_out_of_our_hands() -> None:
    for seed in range(SEEDS // 10):
        with noted(seed):
            loop.run(_play_leaky(seed))


def test_every_fault_has_fired() -> None:
    if SEEDS < 100:
        pytest.skip("too few seeds to expect every fault")
    silent = {*FAULTS, "crash", "stop", "circuit opened"} - {kind for kind, count in _fired.items() if count}
    assert not silent


@contextmanager
def noted(seed: int) -> Iterator[None]:
    """Tells which seed it was, so that one command plays it again."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
