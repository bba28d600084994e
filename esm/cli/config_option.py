"""`--config`, which most commands take."""

from pathlib import Path
from typing import Annotated

import typer

from esm.cli.complain import given_path

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        parser=given_path,
        envvar="ESM_CONFIG",
        metavar="FILE_OR_DIR",
        help="A YAML file, or a directory whose *.yaml and *.yml files are merged.",
        show_default=False,
    ),
]
