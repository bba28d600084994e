"""`esm state seek`: lanes that are stopped go on somewhere else."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

import typer

from esm.checkpoint import LaneRow, Position, Start
from esm.cli.complain import lines, warnings
from esm.cli.state.place import NOT_ALL, Place, Refused, operator
from esm.cli.state.words import onward, pending, standing
from esm.config.making import source_of
from esm.config.models import MappingConfig
from esm.core.log.lineage import EVERY_LANE, has_ended
from esm.core.log.moving import sought
from esm.errors import Disconnected, StoreFailed
from esm.ports import LogSource
from esm.world import real_world

Chosen = tuple[Sequence[str], bool]
"""Names of lanes, and whether all are meant instead."""


async def seek(place: Place, mapping: str, chosen: Chosen, to: str, *, sure: bool) -> int:
    """The exit code. `sure`: also where pending batches are forgotten."""
    scope = await place.scope(mapping)
    rows = await _rows(place, scope, chosen)
    target = await _target(to, place.mapping(scope), place)
    reasons = [reason for row in rows if (reason := place.in_use(row))]
    if not sure:
        reasons += [_forgets(place, row) for row in rows if row.known.parts]
    if reasons:
        raise Refused(*reasons)
    if not isinstance(target, Start) and any(row.lane == EVERY_LANE for row in rows):
        raise Refused(f"{to} is a position, which is one lane's: name that; a time would be written with its zone")
    failed = [row.lane for row in rows if not await _moved(place, row, target)]
    if place.user and not failed and any(map(has_ended, rows)):
        warnings([f"an engine is running ({place.user}): it opens lanes that were finished when it is restarted"])
    return NOT_ALL if failed else 0


async def _rows(place: Place, scope: str, chosen: Chosen) -> Sequence[LaneRow]:
    """Of all lanes also the row that says where those begin that have none yet; it may be to make."""
    names, every = chosen
    if bool(names) == every:
        raise Refused(
            "name the lanes, or say --all" if not every else "--all means all lanes: name none beside it"
        )
    if not every:
        return [await place.row(scope, name) for name in dict.fromkeys(names)]
    rows = await place.rows(scope)
    return list({EVERY_LANE: LaneRow(scope, EVERY_LANE), **rows}.values())


def _forgets(place: Place, row: LaneRow) -> str:
    return (
        f"{place.lane(row)} has {pending(row)}, which would be forgotten, with what they have used up of"
        " their retries, and no destination would be told: say --yes, or `esm state skip` them before"
    )


async def _target(to: str, mapping: MappingConfig | None, place: Place) -> Position | Start:
    if to in {"horizon", "TRIM_HORIZON"}:
        return Start()
    if to in {"latest", "LATEST"}:
        return await _latest(mapping, place)
    if to.isascii() and to.isdecimal():
        return int(to)
    return Start(_time(to))


def _time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Refused(
            f"{text} is no place: write horizon, latest, a time with its zone such as 2026-01-31T08:00:00Z, or the"
            " number of a position"
        )
    if moment.timestamp() > time.time():
        raise Refused(f"{text} is still to come: latest means what comes from now on")
    return moment.timestamp()


async def _latest(mapping: MappingConfig | None, place: Place) -> Start:
    """The present, as the source's own clock has it."""
    if mapping is None:
        raise Refused("of a mapping that is not configured nobody can ask what is the latest: give a time")
    options = mapping.options.model_copy(
        update={"starting_position": "LATEST", "starting_position_timestamp": None}
    )
    target = place.config.targets[mapping.target]
    source = source_of(replace(mapping, options=options), target, place.config.settings, real_world())
    try:
        return await cast("LogSource", source).begin()
    except Disconnected as problem:
        raise Refused(
            f"the source cannot be asked what is the latest: {problem.reason}; a time needs no answer"
        ) from None


async def _moved(place: Place, row: LaneRow, to: Position | Start) -> bool:
    """Says what became of it."""
    name = place.lane(row)
    is_new = row.epoch == 0
    try:
        written = await place.store.swap(None if is_new else row, sought(row, to, operator("seek")))
    except StoreFailed as error:
        lines([f"{name} was not moved: {error}"])
        return False
    if not written:
        lines([f"{name} was written by somebody else meanwhile, and is left as it is: look again"])
        return False
    forgets = pending(row)
    was = f", was {standing(row)}{f'; forgotten: {forgets}' if forgets else ''}"
    typer.echo(f"{name}: goes on with {onward(to)}{'' if is_new else was}")
    return True
