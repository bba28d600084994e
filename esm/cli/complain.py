"""What goes to standard error: plain lines, which tools can read, saying what to do next."""

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import typer

NOT_STARTED = 2
"""The exit code of a command that could not begin."""


def lines(texts: Iterable[str]) -> None:
    """One line each, as they are."""
    for text in texts:
        typer.echo(text, err=True)


def warnings(texts: Iterable[str]) -> None:
    lines(f"warning: {text}" for text in texts)


def given_path(text: str) -> Path:
    """What `--config` says. An empty one, mostly of an unset shell variable, would mean the current directory."""
    if not text.strip():
        lines(["--config is empty: it takes a file or a directory"])
        raise typer.Exit(NOT_STARTED)
    return Path(text)


def no_config(command: str) -> NoReturn:
    """`--config` was forgotten: ends the process, naming what lies around and looks like one."""
    found = [path for path in ("esm.yaml", "esm.yml", "/etc/esm") if Path(path).exists()]
    hint = f"; there is one here: esm {command} --config {found[0]}" if found else ""
    lines([f"esm {command} needs --config FILE_OR_DIR (or the environment variable ESM_CONFIG){hint}"])
    raise typer.Exit(NOT_STARTED)
