"""`python -m benchmarks [NAME ...]`: the scenarios, contenders taking turns, tables, gates and one JSON file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import report
from benchmarks.catalog import ALONE, COMPARED, Compared, named
from benchmarks.contenders import CONTENDERS, ContenderError, available
from benchmarks.gates import Verdict
from benchmarks.processes import ROOT, allow_open_files
from benchmarks.scenarios import Run


def several(text: str) -> list[str]:
    return text.split(",")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=[], metavar="NAME", help=f"of {', '.join((*COMPARED, *ALONE))}; none: all"
    )
    parser.add_argument("--only", type=several, default=[*CONTENDERS], metavar="A,B", help="contenders to run")
    parser.add_argument("--reps", type=int, default=5, help="rounds of what is compared; medians are shown")
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: so much less load, for a quick look")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="FOLDER")
    chosen = parser.parse_args()
    unknown = {name for name in chosen.names if not named(name)} | {*chosen.only} - {*CONTENDERS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    chosen.scenarios = [each for name in chosen.names for each in named(name)] or [*COMPARED, *ALONE]
    return chosen


async def attempt(scenario: str, name: str, scale: float) -> Run | None:
    """One run, with its end on stderr; None when the contender failed."""
    try:
        run = await COMPARED[scenario].run(name, scale)
    except ContenderError as error:
        print(f"{scenario} {name}: {error}", file=sys.stderr)
        return None
    print(f"{scenario} {name}: {run.account}", file=sys.stderr)
    return run


async def rounds(scenario: str, names: Sequence[str], reps: int, scale: float) -> tuple[report.Runs, bool]:
    """All runs by contender, and whether all is well. They take turns, so that noise hits all alike.

    A contender that fails once is left out: ratios are taken between neighbours of one round.
    """
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for _ in range(reps):
        for name in tuple(runs):
            run = await attempt(scenario, name, scale)
            if run is None:
                del runs[name]
            else:
                runs[name].append(run)
    balanced = all(run.account.balanced for mine in runs.values() for run in mine)
    return runs, balanced and len(runs) == len(names)


def judged(compared: Compared, runs: report.Runs) -> list[Verdict]:
    figures = {name: [run.figures for run in mine] for name, mine in runs.items()}
    return [gate.judge(figures) for gate in compared.gates]


class Session:
    """One call of the command: what was found so far, and whether all is well."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.well = True
        self._chosen = chosen
        self._verdicts: dict[str, list[Verdict]] = {}
        self._document: dict[str, Any] = {
            "machine": report.machine(),
            "reps": chosen.reps,
            "scale": chosen.scale,
        }

    async def compare(self, scenario: str) -> None:
        compared = COMPARED[scenario]
        names = [name for name in compared.contenders if name in self._chosen.only and available(name)]
        runs, good = await rounds(scenario, names, self._chosen.reps, self._chosen.scale)
        print(f"\n{report.table(scenario, compared, runs)}", flush=True)
        self.well = self.well and good
        self._keep(scenario, report.summary(compared, runs), judged(compared, runs))

    async def alone(self, scenario: str) -> None:
        try:
            outcome = await ALONE[scenario](self._chosen.scale)
        except ContenderError as error:
            print(f"{scenario} engine: {error}", file=sys.stderr)
            self.well = False
            return
        print(f"\n{report.outcome_table(scenario, outcome)}", flush=True)
        if outcome.svg:
            self._chosen.results.mkdir(parents=True, exist_ok=True)
            (self._chosen.results / f"{scenario}.svg").write_text(outcome.svg)
        self._keep(scenario, {"figures": dict(outcome.figures)}, outcome.verdicts)

    def _keep(self, scenario: str, found: dict[str, Any], verdicts: Sequence[Verdict]) -> None:
        self._verdicts[scenario] = [*verdicts]
        self._document[scenario] = {**found, "gates": [verdict._asdict() for verdict in verdicts]}
        self.well = self.well and all(verdict.passed is not False for verdict in verdicts)

    def close(self) -> None:
        print(f"\n{report.gate_table(self._verdicts)}")
        print(f"\n{report.write(self._chosen.results, self._document)}")


async def measure(chosen: argparse.Namespace) -> int:
    allow_open_files()
    session = Session(chosen)
    for scenario in chosen.scenarios:
        if scenario in COMPARED:
            await session.compare(scenario)
        elif "engine" in chosen.only:
            await session.alone(scenario)
    session.close()
    return 0 if session.well else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(measure(options())))
