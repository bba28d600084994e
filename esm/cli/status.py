"""`esm status`: what `/status` of a running engine says, as tables."""

import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from esm.cli.complain import lines as complain
from esm.cli.status_lanes import ill_lanes, lane_table

_NO_ANSWER = 1
_SECONDS = 5.0
_WIDE = 200


class NoAnswer(Exception):
    """Nobody answers as an engine would; the text says what was met instead."""


def status(url: str, *, lanes: bool, as_json: bool) -> int:
    """The exit code."""
    try:
        text, document = _asked(url)
    except NoAnswer as error:
        complain([f"{error}. Is it running? `--url` takes the address of its `server.listen`."])
        return _NO_ANSWER
    if as_json:
        typer.echo(text)
    else:
        console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
        _show(document, console)
        if lanes:
            console.print(lane_table(document["mappings"]))
    return 0


def _asked(url: str) -> tuple[str, Mapping[str, Any]]:
    """Its text and what that means."""
    base = (url if "://" in url else f"http://{url}").rstrip("/")
    try:
        text = _fetched(f"{base}/status")
        document = json.loads(text)
    except urllib.error.HTTPError as error:
        raise NoAnswer(f"what answers at {base} is no engine (status {error.code})") from None
    except (json.JSONDecodeError, UnicodeDecodeError, http.client.HTTPException):
        raise NoAnswer(f"what answers at {base} is no engine (no JSON)") from None
    except (OSError, ValueError) as error:
        raise NoAnswer(f"no engine answers at {base}: {_reason(error)}") from None
    if not isinstance(document, dict) or not isinstance(document.get("mappings"), dict):
        raise NoAnswer(f"what answers at {base} is no engine (no mappings)")
    return text, document


def _fetched(url: str) -> str:
    """Never through a proxy: an engine is a neighbour."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_SECONDS) as response:
        return str(response.read().decode())


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return getattr(inner, "strerror", None) or str(inner)


def _show(document: Mapping[str, Any], console: Console) -> None:
    table = Table("Mapping", "State", "Last result")
    for heading in ("Concurrency", "Waiting", "In flight", "Invoked", "Failed", "Deleted"):
        table.add_column(heading, justify="right")
    for name, mapping in document["mappings"].items():
        table.add_row(*_row(name, mapping))
    console.print(table)
    for name, mapping in document["mappings"].items():
        if mapping.get("circuit_open"):
            text = "the circuit of its target is open: only probes are sent until one is answered"
            console.print(Text(f"{name}: {text}"), soft_wrap=True)
        if text := ill_lanes(mapping):
            console.print(Text(f"{name}: {text}"), soft_wrap=True)
        if mapping.get("last_error"):
            error = mapping["last_error"]
            console.print(Text(f"{name}: last error at {error['at']}: {error['text']}"), soft_wrap=True)


def _row(name: str, mapping: Mapping[str, Any]) -> list[Text]:
    counts, queue = mapping["counts"], mapping["queue"]
    result = mapping["last_processing_result"]
    return [
        Text(name),
        Text(mapping["state"]),
        Text(result, style="red" if result.startswith("PROBLEM") else ""),
        Text(f"{mapping['concurrency']} of {mapping['concurrency_limit']}"),
        _number(_waiting(mapping)),
        _number(queue["in_flight"]),
        *(_number(counts[key]) for key in ("invoked", "failed_invoke")),
        _number(None if mapping.get("lanes") else counts["deleted"]),
    ]


def _waiting(mapping: Mapping[str, Any]) -> int | None:
    """Messages of a queue, as it says; records of a topic, over the partitions that are ours."""
    lanes = mapping.get("lanes", {}).values()
    lags = [lane["lag_records"] for lane in lanes if lane.get("lag_records") is not None]
    visible: int | None = mapping["queue"]["visible"]
    return sum(lags) if lags else visible


def _number(number: int | None) -> Text:
    return Text("-" if number is None else f"{number:,}")
