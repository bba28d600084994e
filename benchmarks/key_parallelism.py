"""What `parallelization_factor` is worth: one shard, few keys, a function that takes a few milliseconds."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.bench import LogAccount, stream_bench
from benchmarks.gates import at_least, held
from benchmarks.outcome import Outcome
from benchmarks.stream_contenders import STREAM_ENGINE, StreamTerms
from benchmarks.stream_scenarios import StreamBacklog, fill, watch_target

SLOWEST_SECONDS = 0.005
FACTOR = 10
LEAST = 8.0
LOAD = StreamBacklog(10_000, shards=1, keys=20, terms=StreamTerms(batch=1))


async def paced(load: StreamBacklog) -> tuple[float, float, LogAccount]:
    """Records per second from the first arrival to the last, CPU seconds of the engine, and the account."""
    async with stream_bench(target_options=("--spread", str(SLOWEST_SECONDS))) as around:
        stream = await fill(around, load)
        async with STREAM_ENGINE.run(around, stream, load.terms) as process:
            samples = await watch_target(around, process, load.records)
        arrivals = await around.seen("arrivals")
        lasted = max(arrivals[-1] - arrivals[0], 1e-9)
        return (len(arrivals) - 1) / lasted, samples[-1].cpu, await around.log_account()


async def key_parallelism(scale: float) -> Outcome:
    """The same records with a factor of 1 and of 10, to a target behind HTTP: a call costs what it does."""
    load = LOAD.scaled(scale)
    wide = replace(load, terms=replace(load.terms, factor=FACTOR))
    slow, slow_cpu, slow_account = await paced(load)
    fast, fast_cpu, fast_account = await paced(wide)
    return Outcome(
        f"{load.records:,} records of one shard, {load.keys} keys, one by one, 0 to 5 ms each at an HTTP target",
        {
            "records/s, factor 1": slow,
            f"records/s, factor {FACTOR}": fast,
            "CPU s, factor 1": slow_cpu,
            f"CPU s, factor {FACTOR}": fast_cpu,
        },
        [
            at_least(f"rate of factor {FACTOR} over factor 1, at least {LEAST:g}", fast / slow, LEAST),
            held("nothing lost, each key in order", slow_account.balanced and fast_account.balanced),
        ],
    )
