"""The tables, in Markdown so that they can be pasted, and the JSON beside them."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from benchmarks.figures import middle, ratio
from benchmarks.memory import MemoryLoad, Peaks
from benchmarks.scenarios import Run

Runs = Mapping[str, Sequence[Run]]


class Column(NamedTuple):
    """A figure as the median of the runs, or with `over`, as its ratio to that floor."""

    title: str
    figure: str
    places: int
    over: str = ""


COLUMNS = {
    "sqs-throughput": (
        Column("msg/s", "per_second", 0),
        Column("x stock", "per_second", 2, "stock"),
        Column("x lean", "per_second", 2, "lean"),
        Column("CPU s per 1,000", "cpu_per_1000", 4),
        Column("x stock", "cpu_per_1000", 2, "stock"),
        Column("x lean", "cpu_per_1000", 2, "lean"),
        Column("RSS MiB", "rss_mib", 0),
        Column("queue server, cores", "queue_share", 2),
        Column("target, cores", "target_share", 2),
    ),
    "sqs-latency": (
        Column("p50 ms", "p50_ms", 2),
        Column("p99 ms", "p99_ms", 2),
        Column("max ms", "max_ms", 1),
        Column("p50 x lean", "p50_ms", 2, "lean"),
        Column("p99 x lean", "p99_ms", 2, "lean"),
        Column("CPU s per 1,000", "cpu_per_1000", 3),
        Column("x lean", "cpu_per_1000", 2, "lean"),
        Column("RSS MiB", "rss_mib", 0),
    ),
}


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


def table(scenario: str, runs: Runs) -> str:
    columns = COLUMNS[scenario]
    lines = [
        row([scenario, *(column.title for column in columns), "account"]),
        row(["---"] * (len(columns) + 2)),
    ]
    for name, mine in runs.items():
        found = [(cell(runs, name, column), column.places) for column in columns]
        cells = ["-" if value is None else f"{value:,.{places}f}" for value, places in found]
        wrong = [str(run.account) for run in mine if not run.account.balanced]
        lines.append(row([name, *cells, wrong[0] if wrong else f"{len(mine)} x balanced"]))
    return "\n".join(lines)


def memory_table(load: MemoryLoad, peaks: Peaks) -> str:
    about = f"memory: {load.mappings} mappings, stuck target, backlog {load.backlog / 2**20:.0f} MiB"
    lines = [row([about, ""]), row(["---", "---"])]
    lines += [row([name, f"{value:,.2f}"]) for name, value in peaks.figures(load).items()]
    lines += [row([what, "pass" if held else "FAIL"]) for what, held in peaks.verdicts(load).items()]
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
    }


def summary(scenario: str, runs: Runs) -> dict[str, Any]:
    def name_of(column: Column) -> str:
        return f"{column.figure}_over_{column.over}" if column.over else column.figure

    return {
        name: {
            "median": {name_of(column): cell(runs, name, column) for column in COLUMNS[scenario]},
            "runs": [asdict(run) for run in mine],
        }
        for name, mine in runs.items()
    }


def write(folder: Path, document: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    return file
