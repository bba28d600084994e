"""kinesis-local: a Kinesis in memory, in JavaScript (https://github.com/etspaceman/kinesis-mock).

It splits and merges as Kinesis does, tells who goes on at the end of a shard, and caps pages at ten megabytes; it
is slow, and enforces no quota. It reads its certificate from its own folder and would listen on every address.
"""

from pathlib import Path

from .install import run_tool
from .recipe import Command, Place, Recipe

_VERSION = "0.6.2"
_OPTIONS = ("--no-audit", "--no-fund", "--loglevel=error")
_LOOPBACK = """\
// Loaded before the server, which knows no switch for it: whatever listens, listens on 127.0.0.1.
const net = require("net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...given) {
  const [first] = given;
  if (first && typeof first === "object" && first.port !== undefined) {
    given[0] = { ...first, host: "127.0.0.1" };
  } else if (typeof first === "number") {
    given.splice(1, typeof given[1] === "string" ? 1 : 0, "127.0.0.1");
  }
  return listen.apply(this, given);
};
"""


def _install(home: Path) -> None:
    run_tool("npm", "install", *_OPTIONS, "--prefix", home, f"kinesis-local@{_VERSION}", cwd=home)
    (home / "loopback.cjs").write_text(_LOOPBACK)


def _command(place: Place) -> Command:
    package = f"{place.home}/node_modules/kinesis-local"
    return Command(
        ("sh", "-c", f'cd "{package}" && exec node -r "{place.home}/loopback.cjs" main.js'),
        {
            "KINESIS_MOCK_PLAIN_PORT": str(place.port),
            "KINESIS_MOCK_TLS_PORT": "0",
            "CREATE_STREAM_DURATION": "20ms",
            "DELETE_STREAM_DURATION": "20ms",
            "SPLIT_SHARD_DURATION": "20ms",
            "MERGE_SHARDS_DURATION": "20ms",
            "SHARD_LIMIT": "500",
            "LOG_LEVEL": "ERROR",
        },
    )


KINESIS_LOCAL = Recipe(
    name="kinesis_local",
    version=_VERSION,
    origin=_LOOPBACK,
    install=_install,
    command=_command,
    probe="/healthcheck",
)
