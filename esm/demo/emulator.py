"""The AWS emulator: ministack from PyPI, in an environment and a process of its own.

Its own environment, because it pins a botocore that the engine's AWS client refuses. The environment is made
once, in the user's cache folder, and used again.
"""

import asyncio
import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import aiohttp

from esm.demo.failures import DemoFailed
from esm.demo.process import Program, environment, free_port, running

REQUIREMENT = "ministack==1.5.33"

_START_SECONDS = 20.0
_TRIES = 3
_LOCK_EVERY = 0.2
_TAIL_CHARACTERS = 2_000


@asynccontextmanager
async def emulator(session: aiohttp.ClientSession, work: Path, say: Callable[[str], None]) -> AsyncIterator[str]:
    """Runs one; gives its URL. Raises `DemoFailed` if it cannot be installed or does not start.

    Between choosing a free port and using it somebody else may take it: then another one is tried.
    """
    python = await _installed(say)
    for last in (False,) * (_TRIES - 1) + (True,):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        async with running(_program(python, port, work)) as run:
            try:
                await run.ready(lambda url=url: _answers(session, url), _START_SECONDS)  # type: ignore[misc]
            except DemoFailed:
                if last:
                    raise
                continue
            yield url
            return


def _program(python: Path, port: int, work: Path) -> Program:
    extra = {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "STATE_DIR": f"{work}/emulator",
        "TMPDIR": str(work),
    }
    # By module: the scripts of an environment hold the path it had before it was renamed.
    return Program("the AWS emulator", (str(python), "-m", "ministack"), environment(extra), work / "emulator.log")


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/_ministack/health") as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _installed(say: Callable[[str], None]) -> Path:
    """The interpreter of the emulator's environment, made now if need be."""
    folder = _cache()
    belongs_to = f"{REQUIREMENT} {sys.version} {sys.base_prefix}"
    home = folder / f"emulator-{hashlib.sha256(belongs_to.encode()).hexdigest()[:12]}"
    python = home / "bin" / "python"
    if not python.exists():
        say(f"Installing the emulator ({REQUIREMENT}) into {home}, once …")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DemoFailed(
                f"cannot make {folder}: {error.strerror}; name another place with XDG_CACHE_HOME"
            ) from None
        await _install(folder, home)
    return python


def _cache() -> Path:
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "esm"


async def _install(folder: Path, home: Path) -> None:
    """Under a lock, and only a complete environment gets its name: two may try at once, either may be killed."""
    with (folder / f"{home.name}.lock").open("w") as lock:
        await _locked(lock.fileno())
        if home.exists():  # noqa: ASYNC240 - the lock was just waited for; a stat is nothing beside it
            return
        with tempfile.TemporaryDirectory(dir=folder, prefix="partial-") as scratch:
            partial = Path(scratch) / "home"
            await _make(partial)
            partial.rename(home)


async def _make(home: Path) -> None:
    """With our own pip if there is one: giving the environment its own takes as long as the rest together."""
    ours = find_spec("pip") is not None
    await _tool(sys.executable, "-m", "venv", *(["--without-pip"] if ours else []), str(home))
    python = str(home / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python] if ours else [python, "-m", "pip"]
    await _tool(*pip, "install", "--quiet", "--no-compile", REQUIREMENT)


async def _locked(file: int) -> None:
    """Not by a blocking call, which could not be given up. The lock goes with the file, or with the process."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_LOCK_EVERY)
        else:
            return


async def _tool(*argv: str) -> None:
    """Runs it to its end. It dies with us: if we are cancelled, it is killed."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        text = output.decode(errors="replace")[-_TAIL_CHARACTERS:].strip()
        raise DemoFailed(
            f"the emulator could not be installed; this command failed:\n  {' '.join(argv)}\n{text}\n"
            "It needs the venv module of Python (Debian: apt-get install python3-venv) and a package index."
        )
