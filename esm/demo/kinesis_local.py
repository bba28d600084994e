"""Where the stream lives: on kinesis-local from npm, or else on the emulator.

The emulator forgets a shard that is split, with the records in it. kinesis-local keeps it and tells who goes on,
as Kinesis does (https://github.com/etspaceman/kinesis-mock), but it is JavaScript: where node is missing, or the
package cannot be fetched, there is no split.
"""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from esm.demo.failures import DemoFailed
from esm.demo.install import Wanted, ended, installed
from esm.demo.process import Program, environment
from esm.demo.server import served

PACKAGE = "kinesis-local@0.6.2"

# No scripts of the package are run, and a registry that cannot be reached is given up soon.
NPM_OPTIONS = (
    *("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"),
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"),
)
ENVIRONMENT = {
    "KINESIS_MOCK_TLS_PORT": "0",
    "CREATE_STREAM_DURATION": "20ms",
    "DELETE_STREAM_DURATION": "20ms",
    "SPLIT_SHARD_DURATION": "20ms",
    "MERGE_SHARDS_DURATION": "20ms",
    "SHARD_LIMIT": "500",
    "LOG_LEVEL": "ERROR",
}
LOOPBACK = """\
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

_FETCH_SECONDS = 60.0


class StreamServer(Struct, frozen=True):
    """`endpoint` is its URL; `splits`: a shard that is split stays until it has been read."""

    endpoint: str
    splits: bool


@asynccontextmanager
async def stream_server(
    session: aiohttp.ClientSession, work: Path, emulator: str, say: Callable[[str], None]
) -> AsyncIterator[StreamServer]:
    """The server that splits, or the one at `emulator` (a URL) with a line that says why."""
    async with AsyncExitStack() as opened:
        try:
            url = await opened.enter_async_context(_kinesis_local(session, work, say))
            server = StreamServer(url, splits=True)
        except DemoFailed as why:
            reason = str(why).splitlines()[0]
            say(f"The stream will not be split, because {PACKAGE} cannot be had ({reason}); the emulator has it.")
            server = StreamServer(emulator, splits=False)
        yield server


@asynccontextmanager
async def _kinesis_local(
    session: aiohttp.ClientSession, work: Path, say: Callable[[str], None]
) -> AsyncIterator[str]:
    if shutil.which("node") is None:
        raise DemoFailed("node is not installed")
    wanted = Wanted(
        "kinesis-local", f"{PACKAGE} {LOOPBACK}", f"Fetching a Kinesis ({PACKAGE}, 16 MB) from npm", _make
    )
    home = await installed(wanted, say)
    async with served(session, lambda port: _program(home, port, work), "/healthcheck") as url:
        yield url


def _program(home: Path, port: int, work: Path) -> Program:
    """It reads its certificate from the folder it is started in.

    It keeps nothing, but asked to end it would wait for its clients to hang up: so it is killed.
    """
    return Program(
        name="kinesis-local",
        argv=("node", "-r", str(home / "loopback.cjs"), "main.js"),
        env=environment({**ENVIRONMENT, "KINESIS_MOCK_PLAIN_PORT": str(port)}),
        log=work / "kinesis-local.log",
        cwd=home / "node_modules" / "kinesis-local",
        ends_by=signal.SIGKILL,
    )


async def _make(home: Path) -> None:
    if shutil.which("npm") is None:
        raise DemoFailed("npm is not installed")
    try:
        async with asyncio.timeout(_FETCH_SECONDS):
            done = await ended(("npm", "install", *NPM_OPTIONS, "--prefix", str(home), PACKAGE), {})
    except TimeoutError:
        raise DemoFailed(f"npm did not end within {_FETCH_SECONDS:g} s") from None
    if done.code != 0:
        raise DemoFailed(f"npm: {_reason(done.output)}")
    (home / "loopback.cjs").write_text(LOOPBACK)


def _reason(output: str) -> str:
    """Npm's first line says the code of the error, the later ones how to read its logs."""
    first = next(iter(output.splitlines()), "")
    return first.removeprefix("npm error ") or "without a word"
