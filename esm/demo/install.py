"""Servers that the demonstration does not bring along: fetched once, into the user's cache folder, and used again.

An installation is made in a temporary place under a lock and gets its name only when it is complete, because two
demonstrations may try at once and either may be killed.
"""

import asyncio
import fcntl
import hashlib
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from esm.demo.failures import DemoFailed

_LOCK_EVERY = 0.2
_TAIL_CHARACTERS = 2_000


class Wanted(Struct, frozen=True):
    """What to fetch. `name` and `belongs_to` decide its folder: a change of either is another installation.

    `told` says for people what is fetched; `make` fills the folder it is given, which will be renamed, and raises
    `DemoFailed` if it cannot.
    """

    name: str
    belongs_to: str
    told: str
    make: Callable[[Path], Awaitable[None]]


class Ended(Struct, frozen=True):
    """How a tool ended, and the end of what it printed."""

    code: int
    output: str


async def installed(wanted: Wanted, say: Callable[[str], None]) -> Path:
    """Its folder, filled now if need be. Raises `DemoFailed` if that cannot be done."""
    folder = _cache()
    home = folder / f"{wanted.name}-{hashlib.sha256(wanted.belongs_to.encode()).hexdigest()[:12]}"
    if not home.exists():
        say(f"{wanted.told} into {home}, once …")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DemoFailed(
                f"cannot make {folder}: {error.strerror}; name another place with XDG_CACHE_HOME"
            ) from None
        await _install(wanted, folder, home)
    return home


def _cache() -> Path:
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "esm"


async def _install(wanted: Wanted, folder: Path, home: Path) -> None:
    with (folder / f"{home.name}.lock").open("w") as lock:
        await _locked(lock.fileno())
        if home.exists():  # noqa: ASYNC240 - the lock was just waited for; a stat is nothing beside it
            return
        with tempfile.TemporaryDirectory(dir=folder, prefix="partial-") as scratch:
            partial = Path(scratch) / "home"
            partial.mkdir()
            await wanted.make(partial)
            partial.rename(home)


async def _locked(file: int) -> None:
    """Not by a blocking call, which could not be given up. The lock goes with the file, or with the process."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_LOCK_EVERY)
        else:
            return


async def ended(argv: tuple[str, ...], extra: Mapping[str, str]) -> Ended:
    """Runs a tool to its end, with `extra` in its environment; killed with all it started if we are cancelled."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={**os.environ, **extra},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return Ended(process.returncode or 0, output.decode(errors="replace")[-_TAIL_CHARACTERS:].strip())
