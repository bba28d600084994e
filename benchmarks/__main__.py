"""`python -m benchmarks`: every scenario, the contenders taking turns, one table each and one JSON file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import report
from benchmarks.contenders import CONTENDERS, ContenderError, available
from benchmarks.memory import MemoryLoad, memory
from benchmarks.processes import ROOT
from benchmarks.scenarios import SCENARIOS, Load, Run


def several(text: str) -> list[str]:
    return text.split(",")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scenarios", type=several, default=[*SCENARIOS, "memory"], metavar="A,B")
    parser.add_argument("--only", type=several, default=[*CONTENDERS], metavar="A,B", help="contenders to run")
    parser.add_argument("--reps", type=int, default=3, help="rounds; the table shows medians")
    parser.add_argument("--messages", type=int, default=Load.messages, help="backlog of sqs-throughput")
    parser.add_argument("--seconds", type=int, default=Load.seconds, help="length of sqs-latency")
    parser.add_argument("--concurrency", type=int, default=Load.concurrency, help="batches in flight")
    parser.add_argument("--mappings", type=int, default=MemoryLoad.mappings, help="mappings of memory")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    chosen = parser.parse_args()
    unknown = {*chosen.scenarios} - {*SCENARIOS, "memory"} | {*chosen.only} - {*CONTENDERS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return chosen


async def attempt(scenario: str, name: str, load: Load) -> Run | None:
    """One run, with its end on stderr; None when the contender failed."""
    try:
        run = await SCENARIOS[scenario](CONTENDERS[name], load)
    except ContenderError as error:
        print(f"{scenario} {name}: {error}", file=sys.stderr)
        return None
    print(f"{scenario} {name}: {run.account}", file=sys.stderr)
    return run


async def rounds(scenario: str, names: Sequence[str], reps: int, load: Load) -> tuple[report.Runs, bool]:
    """All runs by contender, and whether all is well. They take turns, so that noise hits all alike.

    A contender that fails once is left out: ratios are taken between neighbours of one round.
    """
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for _ in range(reps):
        for name in tuple(runs):
            run = await attempt(scenario, name, load)
            if run is None:
                del runs[name]
            else:
                runs[name].append(run)
    balanced = all(run.account.balanced for mine in runs.values() for run in mine)
    return runs, balanced and len(runs) == len(names)


async def measure_memory(load: MemoryLoad, document: dict[str, Any]) -> bool:
    try:
        peaks = await memory(load)
    except ContenderError as error:
        print(f"memory engine: {error}", file=sys.stderr)
        return False
    verdicts = peaks.verdicts(load)
    document["memory"] = {"figures": peaks.figures(load), "verdicts": verdicts}
    print(f"\n{report.memory_table(load, peaks)}", flush=True)
    return all(verdicts.values())


async def measure(chosen: argparse.Namespace) -> int:
    names = [name for name in chosen.only if available(name)]
    for name in {*chosen.only} - {*names}:
        print(f"{name}: not installed, left out", file=sys.stderr)
    load = Load(chosen.messages, chosen.concurrency, seconds=chosen.seconds)
    document: dict[str, Any] = {"machine": report.machine(), "reps": chosen.reps}
    well = True
    for scenario in chosen.scenarios:
        if scenario in SCENARIOS:
            runs, good = await rounds(scenario, names, chosen.reps, load)
            document[scenario] = report.summary(scenario, runs)
            print(f"\n{report.table(scenario, runs)}", flush=True)
            well = well and good
        elif "engine" in names:
            well = await measure_memory(MemoryLoad(chosen.mappings), document) and well
    print(f"\n{report.write(chosen.results, document)}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(measure(options())))
