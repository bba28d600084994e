"""Is memory bounded? Many mappings, a backlog behind each, and a target that never answers.

What the engine holds is read twice: from its own `esm_held_bytes`, and as the bytes in flight at the queue
server, which no counter of the engine can flatter. Both must stay within `memory_limit`. Resident memory is
more than what is held (payloads being sent, the interpreter's own overhead), so its growth over the idle
engine is bounded by a multiple of the limit.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.bench import Bench, bench
from benchmarks.contenders import Terms, configured_engine, engine_configuration, free_port, until_polling
from benchmarks.gates import Verdict, at_most, held
from benchmarks.outcome import Outcome
from benchmarks.processes import Child

LOOK_SECONDS = 0.25
VISIBILITY_SECONDS = 15
QUIET_SECONDS = 20  # nothing received for so long: the engine holds all it wants to, and extends it
DEADLINE_SECONDS = 90
RSS_FACTOR = 3.0
GRACE_SECONDS = 5


@dataclass(frozen=True)
class MemoryLoad:
    """The backlog is several times the limit, the first batch of every mapping is half of it."""

    mappings: int = 200
    messages: int = 60
    body_bytes: int = 16_384
    limit_mib: int = 64
    concurrency: int = 10

    @property
    def limit(self) -> int:
        return self.limit_mib * 2**20

    @property
    def backlog(self) -> int:
        return self.mappings * self.messages * self.body_bytes


@dataclass(slots=True)
class Peaks:
    """Bytes at their highest, and what was seen beside them."""

    held: int = 0
    in_flight: int = 0
    idle_rss: int = 0
    rss: int = 0
    mappings_served: int = 0
    redelivered: int = 0
    expired: int = 0  # messages at the target that the queue shows to others again

    def verdicts(self, load: MemoryLoad) -> list[Verdict]:
        growth = (self.rss - self.idle_rss) / load.limit
        return [
            held("esm_held_bytes within the limit", 0 < self.held <= load.limit),
            held("bytes in flight at the queue within the limit", self.in_flight <= load.limit),
            held("the load presses: backlog above the limit", load.backlog > load.limit),
            held("every mapping got a batch through", self.mappings_served == load.mappings),
            held("no message was received twice", self.redelivered == 0),
            held("what the target has stays hidden at the queue", self.expired == 0),
            at_most(f"resident growth over the limit, at most {RSS_FACTOR:g}", growth, RSS_FACTOR),
        ]

    def figures(self, load: MemoryLoad) -> dict[str, float]:
        mib = {f"{name}_mib": value / 2**20 for name, value in asdict(self).items() if name in SIZES}
        return {**mib, "limit_mib": load.limit_mib}


SIZES = ("held", "in_flight", "idle_rss", "rss")


async def held_bytes(around: Bench, listen: str) -> int:
    async with around.http.get(f"http://{listen}/metrics", raise_for_status=True) as answer:
        text = await answer.text()
    families = [f for f in text_string_to_metric_families(text) if f.name == "esm_held_bytes"]
    return int(sum(sample.value for family in families for sample in family.samples))


async def climb(around: Bench, process: Child, listen: str, peaks: Peaks) -> None:
    """Look until nothing new has been received for a while."""
    received, since = -1, time.monotonic()
    give_up = since + DEADLINE_SECONDS
    while time.monotonic() < min(since + QUIET_SECONDS, give_up):
        await asyncio.sleep(LOOK_SECONDS)
        at_target = (await around.seen("totals"))["distinct"]
        totals = await around.queue_totals()
        if totals["received"] != received:
            received, since = totals["received"], time.monotonic()
        peaks.held = max(peaks.held, await held_bytes(around, listen))
        peaks.in_flight = max(peaks.in_flight, totals["in_flight_bytes"])
        peaks.rss = max(peaks.rss, process.meter.look()[1])
        peaks.redelivered = totals["redelivered"]
        peaks.expired = max(peaks.expired, at_target - totals["in_flight"])


async def memory(scale: float) -> Outcome:
    """The limit shrinks with the load, to 16 MiB at least, below which the engine takes none."""
    mappings, limit = round(MemoryLoad.mappings * scale), round(MemoryLoad.limit_mib * scale)
    load = MemoryLoad(mappings=max(20, mappings), limit_mib=max(16, limit))
    peaks = await climbed(load)
    about = f"{load.mappings} mappings, stuck target, backlog {load.backlog / 2**20:.0f} MiB"
    return Outcome(about, peaks.figures(load), peaks.verdicts(load))


async def climbed(load: MemoryLoad) -> Peaks:
    """The queues are filled when all long polls are open, so that idle is known."""
    async with bench(0.0, "--stuck") as around:
        queues = [
            await around.create_queue(f"benchmark-{number}", VISIBILITY_SECONDS) for number in range(load.mappings)
        ]
        configuration = engine_configuration(around, queues, Terms(concurrency=load.concurrency), free_port())
        configuration["memory_limit"] = f"{load.limit_mib}MiB"
        listen = configuration["server"]["listen"]
        peaks = Peaks()
        async with configured_engine(configuration) as process:
            await until_polling(around, process, load.mappings)
            peaks.idle_rss = process.meter.look()[1]
            for queue in queues:
                await around.preload(queue, load.messages, load.body_bytes)
            await climb(around, process, listen, peaks)
            peaks.mappings_served = (await around.seen("totals"))["sources"]
            process.terminate()
            await asyncio.sleep(1)  # a stuck target never settles anything: the second signal is the way out
            process.terminate()
            await process.wait(GRACE_SECONDS)
        return peaks
