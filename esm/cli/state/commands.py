"""The commands of `esm state` and their options."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that the others start fast

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from esm.cli.complain import no_config
from esm.cli.config_option import Config

if TYPE_CHECKING:
    from esm.cli.state.place import Place

state = typer.Typer(
    name="state",
    help="""Look at the positions of streams, move them, and copy them.

    Safe beside a running engine: a write needs the row as it was seen, and the engine notices it. `--config` says
    which store, and which mapping has which id. Exit code 1: not all of it was done. 2: nothing was, for the
    reason on standard error.""",
    no_args_is_help=True,
)

Mapping = Annotated[str, typer.Argument(help="Its name in the configuration, or the id that `list` shows.")]
Lane = Annotated[str, typer.Argument(help="A shard, as `list` shows it.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, in the form of `export`.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Although something is lost, which is said without it.")]


@state.command("list", epilog="Example: `esm state list -c esm.yaml`, `esm state list -c esm.yaml orders --json`")
def list_rows(
    config: Config = None,
    mapping: Annotated[str | None, typer.Argument(help="Only this one's; its name, or its id.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show where each lane stands, and what of it has failed."""
    from esm.cli.state.looking import show_all

    _run("list", config, partial(show_all, mapping=mapping, as_json=as_json))


@state.command(epilog="Example: `esm state show -c esm.yaml orders shardId-000000000000`")
def show(mapping: Mapping, lane: Lane, config: Config = None, *, as_json: Json = False) -> None:
    """Show all that is remembered of one lane: its failing batches with their attempts, and what is done above."""
    from esm.cli.state.looking import show_one

    _run("show", config, partial(show_one, mapping=mapping, lane=lane, as_json=as_json))


@state.command(
    epilog="""Example: `esm state seek -c esm.yaml orders --all --to 2026-01-31T08:00:00Z`,
    `esm state seek -c esm.yaml orders shardId-000000000000 --to horizon`"""
)
def seek(
    mapping: Mapping,
    to: Annotated[
        str,
        typer.Option(
            metavar="horizon|latest|TIME|POSITION",
            help="The oldest record, the next to come, the first since a time, or the one behind a position.",
        ),
    ],
    lanes: Annotated[list[str] | None, typer.Argument(help="Shards, as `list` shows them.")] = None,
    config: Config = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Every lane, and those that the mapping has not come to yet.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Move lanes that are stopped. What was pending in them is forgotten.

    A lane that an engine works on is refused: stop the engine, or restart it with `enabled: false` for the
    mapping.
    """
    from esm.cli.state.seeking import seek as move

    _run("seek", config, partial(move, mapping=mapping, chosen=(lanes or [], every), to=to, sure=yes))


@state.command(
    epilog="""Example: `esm state skip -c esm.yaml orders shardId-000000000000`, `esm state skip -c esm.yaml orders
    shardId-000000000000 --part 2`"""
)
def skip(
    mapping: Mapping,
    lane: Lane,
    config: Config = None,
    part: Annotated[
        int | None, typer.Option(min=0, help="The number of the batch, as `show` has it; the oldest that failed.")
    ] = None,
    *,
    yes: Yes = False,
) -> None:
    """Give up the batch that a lane is stuck at: it goes to the on-failure destination, and the lane goes on.

    A running engine does it within a minute, one that is stopped when it starts.
    """
    from esm.cli.state.skipping import skip as give_up

    _run("skip", config, partial(give_up, mapping=mapping, lane=lane, part=part, sure=yes))


@state.command("export", epilog="Example: `esm state export -c esm.yaml positions.json`")
def export_rows(
    config: Config = None,
    file: Annotated[Path | None, typer.Argument(help="Standard output without it.", show_default=False)] = None,
    mapping: Annotated[str | None, typer.Option(help="Only this one's; its name, or its id.")] = None,
) -> None:
    """Copy positions to a file of JSON."""
    from esm.cli.state.copying import export

    _run("export", config, partial(export, file=file, mapping=mapping))


@state.command("import", epilog="Example: `esm state import -c esm.yaml positions.json --replace`")
def import_rows(
    file: Annotated[Path, typer.Argument(help="What `export` has written.")],
    config: Config = None,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where there is a position already, of lanes that are stopped.")
    ] = False,
) -> None:
    """Write positions that were exported, each to the mapping of that name."""
    from esm.cli.state.copying import import_

    _run("import", config, partial(import_, file=file, replace=replace))


def _run(command: str, config: Path | None, act: Callable[["Place"], Awaitable[int]]) -> NoReturn:
    """Ends with the exit code of `act`."""
    from esm.cli.state.place import at

    raise typer.Exit(at(config or no_config(f"state {command}"), act))
