"""Limits of a target that mappings share: who gets how much of few slots, and how steady a rate is kept.

Both are read at the target: its own counts by queue, and the times at which events arrived there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from benchmarks.bench import Bench, Queue, bench
from benchmarks.contenders import Terms, engine_configuration, free_port, started
from benchmarks.figures import crowded
from benchmarks.gates import Verdict, at_least, at_most, held
from benchmarks.outcome import Outcome

BODY_BYTES = 256
FUNCTION_SECONDS = 0.05
START_SECONDS = 3  # until the concurrency of each mapping has grown to what it may have

MAPPINGS = 20
SLOTS = 10
SHARE_SECONDS = 15
STEP = 400  # messages: the backlogs are 1, 2, 3, ... times as many

RATE = 100
RATE_SECONDS = 25
RATE_WINDOW = 10


@contextlib.asynccontextmanager
async def sharing(backlogs: Sequence[int], limits: dict[str, Any]) -> AsyncIterator[tuple[Bench, list[Queue]]]:
    """The engine at work: a mapping for each backlog, all with one target under `limits`."""
    async with bench(0.0, "--delay", str(FUNCTION_SECONDS)) as around:
        queues = [await around.create_queue(f"benchmark-{number}") for number in range(len(backlogs))]
        for queue, backlog in zip(queues, backlogs, strict=True):
            await around.preload(queue, backlog, BODY_BYTES)
        configuration = engine_configuration(around, queues, Terms(batch=1, concurrency=SLOTS), free_port())
        configuration["targets"]["function"] |= limits
        async with started(around, configuration):
            yield around, queues


async def fair_share(scale: float) -> Outcome:
    """Every backlog outlasts the run, so every mapping wants all slots all the time."""
    seconds = max(2.0, SHARE_SECONDS * scale)
    backlogs = [STEP * (number + 1) for number in range(MAPPINGS)]
    async with sharing(backlogs, {"reserved_concurrency": SLOTS}) as (around, queues):
        await asyncio.sleep(START_SECONDS)
        before = await around.seen("shares")
        await asyncio.sleep(seconds)
        after = await around.seen("shares")
    got = [after.get(queue.arn, 0) - before.get(queue.arn, 0) for queue in queues]
    lasted = all(after.get(queue.arn, 0) < backlog for queue, backlog in zip(queues, backlogs, strict=True))
    fair = sum(got) / MAPPINGS
    figures = {f"calls of mapping {number + 1}, backlog {backlogs[number]:,}": got[number] for number in LOOKED_AT}
    possible = SLOTS / FUNCTION_SECONDS
    return Outcome(
        f"{MAPPINGS} mappings, unequal backlogs, one target with {SLOTS} slots",
        {**figures, "calls/s": sum(got) / seconds, "possible calls/s": possible},
        [
            at_least("the least share over the fair share, at least 0.5", min(got) / max(fair, 1e-9), 0.5),
            at_most("the largest share over the fair share, at most 2", max(got) / max(fair, 1e-9), 2.0),
            held("every backlog outlasted the run", lasted),
        ],
    )


LOOKED_AT = (0, 1, MAPPINGS // 2, MAPPINGS - 2, MAPPINGS - 1)


async def rate_limit(scale: float) -> Outcome:
    """Two mappings that could call several times as often; every window of 10 s is looked at."""
    seconds, window = max(3.0, RATE_SECONDS * scale), max(1.0, RATE_WINDOW * scale)
    async with sharing([round(RATE * seconds * 2)] * 2, {"invocations_per_second": RATE}) as (around, _):
        await asyncio.sleep(seconds)
        arrivals = await around.seen("arrivals")
    steady = [at for at in arrivals if at > arrivals[0] + 1]
    fewest, most = (count / window for count in crowded(steady, window))
    return Outcome(
        f"two mappings, one target with invocations_per_second: {RATE}; calls/s over windows of {window:g} s",
        {
            "fewest calls/s": fewest,
            "most calls/s": most,
            "windows begin within s": steady[-1] - steady[0] - window,
        },
        rate_verdicts(fewest, most),
    )


def rate_verdicts(fewest: float, most: float) -> list[Verdict]:
    return [
        at_least("fewest calls over the rate, at least 0.95", fewest / RATE, 0.95),
        at_most("most calls over the rate, at most 1.05", most / RATE, 1.05),
    ]
