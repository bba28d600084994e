"""How many batches may be in flight while a function fails and when it works again, as a curve over time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.bench import Bench, bench
from benchmarks.charts import Curve, as_svg, as_text
from benchmarks.contenders import Terms, engine_configuration, free_port, started
from benchmarks.gates import Verdict, at_least, at_most
from benchmarks.outcome import Outcome

CONCURRENCY = 32
FUNCTION_SECONDS = 0.2
FAILS_AFTER = 8.0
WORKS_AFTER = 14.0
ENDS_AFTER = 26.0
LOOK_SECONDS = 0.1
BODY_BYTES = 256
VISIBILITY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds from the start, the limit, and the batches in flight."""

    at: float
    limit: float
    in_flight: float


async def gauges(around: Bench, listen: str) -> tuple[float, float]:
    async with around.http.get(f"http://{listen}/metrics", raise_for_status=True) as answer:
        text = await answer.text()
    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    limit, in_flight = (found.get(name, ()) for name in ("esm_concurrency_limit", "esm_concurrency"))
    return sum(sample.value for sample in limit), sum(sample.value for sample in in_flight)


async def observe(around: Bench, listen: str, start: float, until: float) -> list[Moment]:
    moments = []
    while (now := time.monotonic() - start) < until:
        moments.append(Moment(now, *await gauges(around, listen)))
        await asyncio.sleep(LOOK_SECONDS)
    return moments


async def backoff_curve(scale: float) -> Outcome:
    """A scale below 1 shortens nothing here: the curve is one of seconds."""
    del scale
    async with bench(0.0, "--delay", str(FUNCTION_SECONDS)) as around:
        queue = await around.create_queue("benchmark", VISIBILITY_SECONDS)
        terms = Terms(concurrency=CONCURRENCY)
        batches = round(CONCURRENCY / FUNCTION_SECONDS * ENDS_AFTER)
        await around.preload(queue, batches * terms.batch, BODY_BYTES)
        configuration = engine_configuration(around, [queue], terms, free_port())
        listen = configuration["server"]["listen"]
        async with started(around, configuration):
            start = time.monotonic()
            moments = await observe(around, listen, start, FAILS_AFTER)
            await around.fail(500)
            moments += await observe(around, listen, start, WORKS_AFTER)
            await around.fail(200)
            moments += await observe(around, listen, start, ENDS_AFTER)
    return described(moments)


def described(moments: list[Moment]) -> Outcome:
    curve = Curve(
        "batches that may be in flight (line) and that are (area)",
        [(moment.at, moment.limit) for moment in moments],
        [(moment.at, moment.in_flight) for moment in moments],
        (FAILS_AFTER, WORKS_AFTER),
        "the function fails",
    )
    return Outcome(
        f"maximum_concurrency {CONCURRENCY}, a function of {FUNCTION_SECONDS * 1000:g} ms that fails for "
        f"{WORKS_AFTER - FAILS_AFTER:g} s",
        figures(moments),
        verdicts(moments),
        as_text(curve),
        as_svg(curve),
    )


def first(moments: list[Moment], after: float, least: float, most: float) -> float:
    """Seconds from `after` until the limit was in the bounds; infinite if it never was."""
    found = (moment.at - after for moment in moments if moment.at >= after and least <= moment.limit <= most)
    return next(found, float("inf"))


def figures(moments: list[Moment]) -> dict[str, float]:
    before = [moment.limit for moment in moments if moment.at < FAILS_AFTER]
    failing = [moment.limit for moment in moments if FAILS_AFTER + 1 < moment.at < WORKS_AFTER]
    return {
        "limit when the function begins to fail": before[-1],
        "lowest limit while it fails": min(failing),
        "seconds from the first failure to 1": first(moments, FAILS_AFTER, 1, 1),
        "seconds from working again to half": first(moments, WORKS_AFTER, CONCURRENCY / 2, CONCURRENCY),
        "seconds from working again to all": first(moments, WORKS_AFTER, CONCURRENCY, CONCURRENCY),
    }


def verdicts(moments: list[Moment]) -> list[Verdict]:
    found = figures(moments)
    rounds = first(moments, FAILS_AFTER, 1, 1) / FUNCTION_SECONDS
    return [
        at_least("limit before, all of it", found["limit when the function begins to fail"], CONCURRENCY),
        at_most("rounds of invocations from the first failure to a limit of 1, at most 10", rounds, 10),
        at_most(
            "seconds from working again to all, before the end", found["seconds from working again to all"], 12
        ),
    ]
