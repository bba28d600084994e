"""The status as JSON: names for people and dashboards, AWS's words for states and results."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from esm.runtime.status import Live, MappingStatus


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
        **msgspec.to_builtins(seen.live or Live()),
        "counts": msgspec.to_builtins(seen.counts),
        "queue": {
            "visible": seen.depth.visible,
            "in_flight": seen.depth.in_flight,
            "oldest_seconds": seen.depth.oldest,
        },
    }


def _moment(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
