"""`esm state export` and `esm state import`: positions as a file of JSON."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from msgspec import structs

from esm.checkpoint import LaneRow
from esm.cli.complain import lines
from esm.cli.state.looking import document_of
from esm.cli.state.place import NOT_ALL, Place, Refused, operator
from esm.cli.state.words import pending
from esm.core.log.moving import imported
from esm.errors import StoreFailed
from esm.stores.documents import RowText, decoded, encoded, row_of


async def export(place: Place, file: Path | None, mapping: str | None) -> int:
    """The exit code. Without `file` to standard output."""
    document = await document_of(place, mapping)
    if file is None:
        typer.echo(encoded(document))
        return 0
    _put(file, encoded(document) + "\n")
    typer.echo(f"{file}: {len(document.rows)} rows")
    return 0


def _put(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror}") from None


async def import_(place: Place, file: Path, *, replace: bool) -> int:
    """The exit code. `replace`: also rows that there are already."""
    kept = _read(place, file)
    there = {scope: await place.rows(scope) for scope in {row.scope for row in kept}}
    pairs = [(there[row.scope].get(row.lane), row) for row in kept]
    reasons = [reason for old, _ in pairs if old is not None and (reason := _against(place, old, replace=replace))]
    if reasons:
        raise Refused(*reasons)
    failed = [reason for old, row in pairs if (reason := await _write(place, old, row))]
    lines(failed)
    typer.echo(f"{file}: {len(kept) - len(failed)} of {len(kept)} rows written")
    return NOT_ALL if failed else 0


def _read(place: Place, file: Path) -> Sequence[LaneRow]:
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return [_placed(place, text, file) for text in decoded(content).rows]
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Refused(f"{file}: {error}") from None


def _placed(place: Place, text: RowText, file: Path) -> LaneRow:
    """In the mapping of that name: its id may be another here, in another namespace."""
    mapping = place.config.mappings.get(text.mapping or "")
    if mapping is None:
        known = ", ".join(sorted(place.config.mappings)) or "none"
        raise Refused(
            f"{file}: lane {text.lane} is of the mapping {text.mapping or text.scope}, which is not configured:"
            f' there are {known}; write one of them as its "mapping"'
        )
    return structs.replace(row_of(text), scope=mapping.id)


def _against(place: Place, old: LaneRow, *, replace: bool) -> str:
    """Why this row is not replaced, empty if it may be."""
    if replace:
        return place.in_use(old)
    has = pending(old)
    return f"{place.lane(old)} has a position already{f' and {has}' if has else ''}: --replace replaces it"


async def _write(place: Place, old: LaneRow | None, kept: LaneRow) -> str:
    """What went wrong, empty if nothing did."""
    where = place.lane(kept)
    try:
        if await place.store.swap(old, imported(kept, old, operator("import"))):
            return ""
    except StoreFailed as error:
        return f"{where} was not written: {error}"
    return f"{where} was written by somebody else meanwhile, and is left as it is: look again"
