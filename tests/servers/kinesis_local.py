"""kinesis-local: a Kinesis in memory, in JavaScript (https://github.com/etspaceman/kinesis-mock).

It splits and merges as Kinesis does, tells who goes on at the end of a shard, and caps pages at ten megabytes; it
is slow, and enforces no quota. It reads its certificate from its own folder and would listen on every address. The
demonstration runs the same one. One that keeps its streams in a file has them when it is back, as Kinesis has
after an outage.
"""

from dataclasses import replace
from pathlib import Path

from esm.demo.kinesis_local import ENVIRONMENT, LOOPBACK, NPM_OPTIONS, PACKAGE

from .install import run_tool
from .recipe import Command, Place, Recipe

_VERSION = PACKAGE.rpartition("@")[2]
_ENDS = 'data:text/javascript,process.on("SIGTERM",()=>process.exit())'
"""It would wait for clients that keep their connections."""


def _install(home: Path) -> None:
    run_tool("npm", "install", *NPM_OPTIONS, "--prefix", home, PACKAGE, cwd=home)
    (home / "loopback.cjs").write_text(LOOPBACK)


def _command(place: Place) -> Command:
    package = f"{place.home}/node_modules/kinesis-local"
    return Command(
        ("sh", "-c", f'cd "{package}" && exec node -r "{place.home}/loopback.cjs" --import \'{_ENDS}\' main.js'),
        {**ENVIRONMENT, "KINESIS_MOCK_PLAIN_PORT": str(place.port)},
    )


KINESIS_LOCAL = Recipe(
    name="kinesis_local",
    version=_VERSION,
    origin=LOOPBACK,
    install=_install,
    command=_command,
    probe="/healthcheck",
)

KINESIS_KEPT = "kinesis-data.json"
"""The file that the one that keeps its streams writes every second, in its scratch folder."""


def _keeping(place: Place) -> Command:
    command = _command(place)
    keeps = {"SHOULD_PERSIST_DATA": "true", "PERSIST_PATH": str(place.work), "PERSIST_INTERVAL": "1s"}
    return Command(command.argv, {**command.env, **keeps})


KINESIS_LOCAL_KEEPING = replace(KINESIS_LOCAL, command=_keeping)
