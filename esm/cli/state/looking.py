"""`esm state list` and `esm state show`."""

import sys
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from esm.checkpoint import LaneRow
from esm.cli.state.place import Place
from esm.cli.state.words import moment, standing, state_of, whole
from esm.stores.documents import VERSION, Document, encoded, text_of

_WIDE = 240


async def document_of(place: Place, mapping: str | None) -> Document:
    """All rows of a mapping, or of all. Raises `Refused`, `StoreFailed`."""
    scopes = await place.scopes() if mapping is None else [await place.scope(mapping)]
    rows = [row for scope in scopes for row in (await place.rows(scope)).values()]
    return Document(VERSION, [text_of(row, place.name_of(row.scope)) for row in rows])


async def show_all(place: Place, mapping: str | None, *, as_json: bool) -> int:
    """The exit code. `mapping`: only this one's rows."""
    if as_json:
        typer.echo(encoded(await document_of(place, mapping)))
        return 0
    table = Table("Mapping", "Lane", "State")
    table.add_column("Position", overflow="fold")
    for heading in ("Pending", "Attempts", "Done above"):
        table.add_column(heading, justify="right")
    table.add_column("First failed")
    for scope in await place.scopes() if mapping is None else [await place.scope(mapping)]:
        for row in (await place.rows(scope)).values():
            table.add_row(*map(Text, _cells(place, row)))
    _console().print(table)
    return 0


async def show_one(place: Place, mapping: str, lane: str, *, as_json: bool) -> int:
    """The exit code."""
    row = await place.row(await place.scope(mapping), lane)
    if as_json:
        typer.echo(encoded(text_of(row, place.name_of(row.scope))))
        return 0
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("mapping", Text(f"{place.called(row.scope)} ({row.scope})"))
    table.add_row("lane", Text(lane))
    table.add_row("state", Text(state_of(row, in_use=place.works_on(row))))
    for title, text in whole(row):
        table.add_row(title, Text(text))
    _console().print(table)
    return 0


def _cells(place: Place, row: LaneRow) -> Iterator[str]:
    yield place.called(row.scope)
    yield row.lane
    yield state_of(row, in_use=place.works_on(row))
    yield standing(row)
    parts = row.known.parts
    failed = [part.first_failed for part in parts if part.first_failed is not None]
    yield str(len(parts) or "-")
    yield str(max((part.attempts for part in parts), default=0) or "-")
    yield str(len(row.known.settled) or "-")
    yield moment(min(failed)) if failed else "-"


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
