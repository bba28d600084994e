"""ministack: an emulator of many AWS services in Python. Its SQS is independent of ElasticMQ's.

It lives in an environment of its own, because it pins a botocore that aiobotocore refuses. Its state
is saved at an orderly stop and is back after a start; a kill loses it. A receive costs time in
proportion to the depth of the queue: keep a backlog below some thousand messages.
"""

import sys
from pathlib import Path

from .install import run_tool
from .recipe import Command, Place, Recipe

_VERSION = "1.5.33"


def _install(home: Path) -> None:
    run_tool(sys.executable, "-m", "venv", home, cwd=home)
    run_tool(home / "bin" / "pip", "install", "--quiet", f"ministack=={_VERSION}", cwd=home)


def _command(place: Place) -> Command:
    # By module, not by its script: the script holds the path that the environment had before its rename.
    return Command(
        (f"{place.home}/bin/python", "-m", "ministack"),
        {
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(place.port),
            "PERSIST_STATE": "1",
            "STATE_DIR": f"{place.work}/state",
            "TMPDIR": str(place.work),
        },
    )


MINISTACK = Recipe(
    name="ministack",
    version=_VERSION,
    # An environment belongs to the interpreter that made it.
    origin=f"{sys.base_prefix} {sys.version}",
    install=_install,
    command=_command,
    probe="/_ministack/health",
)
