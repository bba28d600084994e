"""The tables, in Markdown so that they can be pasted, and the JSON beside them."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks.catalog import Column, Compared
from benchmarks.figures import middle, ratio
from benchmarks.gates import Verdict
from benchmarks.outcome import Outcome
from benchmarks.scenarios import Run

Runs = Mapping[str, Sequence[Run]]


def values(runs: Sequence[Run], figure: str) -> list[float | None]:
    return [run.figures.get(figure) for run in runs]


def cell(runs: Runs, name: str, column: Column) -> float | None:
    ours = values(runs[name], column.figure)
    if not column.over:
        return middle(ours)
    floor = runs.get(column.over, ())
    return ratio(ours, values(floor, column.figure)) if len(floor) == len(ours) else None


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(scenario: str, compared: Compared, runs: Runs) -> str:
    lines = [
        row([scenario, *(column.title for column in compared.columns), "account"]),
        row(["---"] * (len(compared.columns) + 2)),
    ]
    for name, mine in runs.items():
        found = [(cell(runs, name, column), column.places) for column in compared.columns]
        cells = ["-" if value is None else f"{value:,.{places}f}" for value, places in found]
        wrong = [str(run.account) for run in mine if not run.account.balanced]
        lines.append(row([name, *cells, wrong[0] if wrong else f"{len(mine)} x balanced"]))
    return "\n".join([*lines, *(["", compared.beside] if compared.beside else [])])


def outcome_table(scenario: str, outcome: Outcome) -> str:
    lines = [row([f"{scenario}: {outcome.about}", ""]), row(["---", "---"])]
    lines += [row([name, f"{value:,.2f}"]) for name, value in outcome.figures.items()]
    drawn = f"\n\n```text\n{outcome.chart}\n```" if outcome.chart else ""
    return "\n".join(lines) + drawn


def gate_table(verdicts: Mapping[str, Sequence[Verdict]]) -> str:
    lines = [row(["scenario", "gate", "measured", ""]), row(["---"] * 4)]
    for scenario, judged in verdicts.items():
        lines += [row([scenario, gate.gate, number(gate.measured), gate.word]) for gate in judged]
    return "\n".join(lines)


def number(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def machine() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
    }


def summary(compared: Compared, runs: Runs) -> dict[str, Any]:
    def name_of(column: Column) -> str:
        return f"{column.figure}_over_{column.over}" if column.over else column.figure

    return {
        name: {
            "median": {name_of(column): cell(runs, name, column) for column in compared.columns},
            "runs": [asdict(run) for run in mine],
        }
        for name, mine in runs.items()
    }


def write(folder: Path, document: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    return file
