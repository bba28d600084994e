"""The lanes of logs as a table: where each stands, how far behind, and what keeps it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

_ILL = {"Crowded": "yellow", "Lost": "red", "Opening": "yellow", "Retrying": "yellow", "Stalled": "red"}


def lane_table(mappings: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row per lane of each mapping; names and positions are never cut, they are there to be copied."""
    table = Table("Mapping")
    table.add_column("Lane", overflow="fold")
    table.add_column("State")
    table.add_column("Position", overflow="fold")
    for heading in ("Behind", "Lag", "Iterator age", "Attempts"):
        table.add_column(heading, justify="right")
    table.add_column("Kept by", overflow="fold")
    for mapping, seen in mappings.items():
        for name, lane in seen.get("lanes", {}).items():
            table.add_row(Text(mapping), Text(name), *_row(lane))
    return table


def ill_lanes(mapping: Mapping[str, Any]) -> str:
    """What the last result of a mapping need not show: it is OK as soon as any lane goes on. Empty if all read."""
    lanes = mapping.get("lanes", {}).values()
    ill = Counter(lane["state"] for lane in lanes if lane["state"] in _ILL)
    if not ill:
        return ""
    oldest = max((lane["iterator_age_seconds"] or 0.0 for lane in lanes if lane["state"] in _ILL), default=0.0)
    states = ", ".join(f"{number} {state}" for state, number in sorted(ill.items()))
    return f"lanes: {states} of {len(lanes)}, oldest record {_seconds(oldest)}; see --lanes"


def _row(lane: Mapping[str, Any]) -> list[Text]:
    return [
        Text(lane["state"], style=_ILL.get(lane["state"], "")),
        Text(lane["position"] or "-"),
        _seconds(lane["behind_seconds"]),
        _number(lane.get("lag_records")),
        _seconds(lane["iterator_age_seconds"]),
        Text(str(lane["attempts"] or "-")),
        Text(_kept_by(lane)),
    ]


def _kept_by(lane: Mapping[str, Any]) -> str:
    by = lane["crowded_by"]
    crowd = f"record {by['record']}" + (f" of key {by['key']}" if by["key"] else "") if by else ""
    return "; ".join(filter(None, [lane["stalled"], crowd]))


def _number(number: int | None) -> Text:
    return Text("-" if number is None else f"{number:,}")


def _seconds(seconds: float | None) -> Text:
    return Text("-" if seconds is None else f"{seconds:,.1f} s")
