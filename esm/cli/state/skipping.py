"""`esm state skip`: a batch is given up to its destination, by the engine itself."""

import typer

from esm.checkpoint import LaneRow
from esm.cli.complain import warnings
from esm.cli.state.place import Place, Refused, operator
from esm.cli.state.words import budget, extent
from esm.core.log.moving import part_at, skipped, spans_of, stuck

_TRIES = 20


async def skip(place: Place, mapping: str, lane: str, part: int | None, *, sure: bool) -> int:
    """The exit code. `part`: its number, None for the oldest that failed. `sure`: also if nobody is told of it."""
    row = await place.row(await place.scope(mapping), lane)
    number = _chosen(row, mapping, part)
    told = _told(place, row.scope)
    if not told and not sure:
        raise Refused(
            f"{mapping} has no destination_config, so nobody would be told of what is given up: add one and"
            " restart the engine, or say --yes to drop it"
        )
    await _write(place, row, number)
    described = f"{extent(row.known, number)}; {budget(row.known.parts[number])}"
    what = f"{mapping}, lane {lane}: part {number} ({described})"
    typer.echo(f"{what} is given up, and goes to {told}" if told else f"{what} is given up and dropped")
    typer.echo(_when(place))
    mapped = place.mapping(row.scope)
    if mapped is None or not mapped.options.enabled:
        warnings([f"{mapping} is not configured or not enabled: nobody does it until it is"])
    return 0


def _chosen(row: LaneRow, mapping: str, part: int | None) -> int:
    """The number of the part. Raises `Refused` if there is nothing to give up."""
    where = f"{mapping}, lane {row.lane}"
    parts = row.known.parts
    number = part if part is not None else stuck(row.known)
    if number is None:
        more = ": `esm state show` has what is being sent, --part gives it up all the same" if parts else ""
        raise Refused(f"{where}: no batch of it has failed{more}")
    if number >= len(parts):
        raise Refused(f"{where} has no part {number}: `esm state show` has those that there are")
    if parts[number].given_up:
        raise Refused(f"{where}: part {number} is given up already, and goes to its destination")
    return number


def _told(place: Place, scope: str) -> str:
    """The destinations, empty if there are none."""
    mapping = place.mapping(scope)
    found = mapping.on_failure.destinations if mapping is not None else ()
    return ", or else ".join(each.plugin.called(each.options) for each in found)


async def _write(place: Place, row: LaneRow, number: int) -> None:
    """An engine that runs may write between our look and our write: then the same batch is looked for again."""
    spans = spans_of(row.known, number)
    found: int | None = number
    for _ in range(_TRIES):
        if found is None:
            break
        if await place.store.swap(row, skipped(row, found, operator("skip"))):
            return
        row = await place.row(row.scope, row.lane)
        found = part_at(row.known, spans)
    raise Refused(f"{place.lane(row)}: the batch went on meanwhile, nothing was given up: look again")


def _when(place: Place) -> str:
    if place.user:
        return f"the engine ({place.user}) notices before it sends the batch again, after a minute at most"
    return "no engine is running: it is done when one starts"
