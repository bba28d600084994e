"""`esm validate`: what is wrong with a configuration, and with `--connect` what does not answer."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from esm.cli.complain import NOT_STARTED, lines, warnings
from esm.cli.connect import Answer, ask_all
from esm.config import Loaded, assemble, load
from esm.config.assemble import has_positions
from esm.config.stream_options import StreamOptions
from esm.config.topic_options import TopicOptions
from esm.errors import ConfigError
from esm.ports import Checkable
from esm.stores import SqliteCheck, file_of
from esm.world import real_world


def validate(path: Path, *, connect: bool) -> int:
    """The exit code."""
    try:
        loaded = load(path)
        plan = assemble(loaded.config, world=real_world())
    except ConfigError as error:
        lines(error.problems)
        return NOT_STARTED
    warnings([*loaded.warnings, *_forgetful(loaded), *_endless(loaded)])
    if connect and not _answered(asyncio.run(ask_all(plan, _store(loaded))), loaded):
        return NOT_STARTED
    typer.echo(_summary(path, loaded))
    return 0


def _store(loaded: Loaded) -> Checkable | None:
    """Where positions are kept, if any are, and in a file."""
    path = file_of(loaded.config.settings.state.url)
    return SqliteCheck(path) if path is not None and has_positions(loaded.config) else None


def _forgetful(loaded: Loaded) -> Iterator[str]:
    """The default is for a trial: after every restart streams begin at their starting position."""
    config = loaded.config
    if has_positions(config) and file_of(config.settings.state.url) is None:
        text = "positions of streams end with the process: write sqlite:///var/lib/esm/state.db"
        yield f"{loaded.place_of(('state', 'url'))}: state.url: {text}"


def _endless(loaded: Loaded) -> Iterator[str]:
    """AWS's defaults; what a queue without a redrive policy is, and worse, because nothing overtakes."""
    for name, mapping in loaded.config.mappings.items():
        options = mapping.options
        if isinstance(options, StreamOptions) and options.retries is None and options.oldest is None:
            what = "partition" if isinstance(options, TopicOptions) else "shard"
            text = (
                f"a record that always fails holds up its {what} until it has expired: set maximum_retry_attempts"
            )
            yield f"{loaded.place_of(('mappings', name))}: mappings.{name}: {text}"


def _answered(answers: Sequence[Answer], loaded: Loaded) -> bool:
    """Says what each of them said; False if one does not work."""
    for answer in answers:
        place = f"{loaded.place_of(answer.steps)}: {answer.place}"
        warnings(f"{place}: {text}" for text in answer.warnings)
        lines(f"{place}: {text}" for text in answer.problems)
        if not answer.problems:
            typer.echo(f"{answer.place}: {'answers' if answer.asked else 'cannot be asked without using it'}")
    return not any(answer.problems for answer in answers)


def _summary(path: Path, loaded: Loaded) -> str:
    mappings, targets = len(loaded.config.mappings), len(loaded.config.targets)
    return f"{path}: valid, {_counted(mappings, 'mapping')} and {_counted(targets, 'target')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
