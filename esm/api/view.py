"""The status as JSON: names for people and dashboards, AWS's words for states and results."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.trouble import shown
from esm.runtime.status.values import LaneStatus, Live, MappingStatus


def status_document(version: str, uptime: float, mappings: Mapping[str, MappingStatus]) -> dict[str, Any]:
    """Everything `/status` shows; `uptime` in seconds, moments as UTC ISO 8601."""
    return {
        "version": version,
        "uptime_seconds": round(uptime, 3),
        "mappings": {name: _mapping(mappings[name]) for name in sorted(mappings)},
    }


def _mapping(seen: MappingStatus) -> dict[str, Any]:
    error = seen.last_error
    return {
        "state": seen.state,
        "since": _moment(seen.state_since),
        "last_processing_result": seen.last_processing_result,
        "result_since": _moment(seen.result_since),
        "last_error": {**error.meta, "text": error.text, "at": _moment(error.at)} if error else None,
        "last_reply": dict(seen.last_reply),
        **_figures(seen.live or Live()),
        "counts": msgspec.to_builtins(seen.counts),
        "queue": {
            "visible": seen.depth.visible,
            "in_flight": seen.depth.in_flight,
            "oldest_seconds": seen.depth.oldest,
        },
        "lanes": {name: _lane(seen.lanes[name]) for name in sorted(seen.lanes)},
    }


def _figures(live: Live) -> dict[str, Any]:
    return {name: getattr(live, name) for name in live.__struct_fields__ if name != "lanes"}


def _lane(seen: LaneStatus) -> dict[str, Any]:
    """A position is a text: a Kinesis sequence number is more than a JSON reader keeps."""
    figures = seen.figures
    return {
        "state": seen.state,
        "position": None if figures.at is None else str(figures.at),
        "behind_seconds": figures.behind,
        "lag_records": figures.lag,
        "iterator_age_seconds": round(figures.age, 3),
        "attempts": figures.attempts,
        "pending_batches": figures.pending,
        "gathered": figures.gathered,
        "held_bytes": figures.held_bytes,
        "in_flight": figures.in_flight,
        "stalled": shown(figures.stalled),
        "crowded_by": _crowded_by(figures) if figures.crowded else None,
    }


def _crowded_by(figures: LaneFigures) -> dict[str, str]:
    return {"record": shown(figures.held_by), "key": shown(figures.key)}


def _moment(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
