"""moto: an emulator of many AWS services in Python. Its DynamoDB streams are independent of ministack's.

A stream has one shard, which is never closed; a server that is stopped has forgotten everything. It lives in an
environment of its own, because it pins a botocore that aiobotocore refuses.
"""

import sys
from pathlib import Path

from .install import run_tool
from .recipe import Command, Place, Recipe

_VERSION = "5.2.5"
_RUN = "from moto.server import main; main()"  # its script holds the path that the environment had before


def _install(home: Path) -> None:
    run_tool(sys.executable, "-m", "venv", home, cwd=home)
    run_tool(home / "bin" / "pip", "install", "--quiet", f"moto[server]=={_VERSION}", cwd=home)


def _command(place: Place) -> Command:
    return Command((f"{place.home}/bin/python", "-c", _RUN, "-H", "127.0.0.1", "-p", str(place.port)))


MOTO = Recipe(
    name="moto",
    version=_VERSION,
    # An environment belongs to the interpreter that made it.
    origin=f"{sys.base_prefix} {sys.version}",
    install=_install,
    command=_command,
    probe="/moto-api/",
)
