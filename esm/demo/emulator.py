"""The AWS emulator: ministack from PyPI, in an environment and a process of its own.

Its own environment, because it pins a botocore that the engine's AWS client refuses.
"""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import aiohttp

from esm.demo.failures import DemoFailed
from esm.demo.install import Wanted, ended, installed
from esm.demo.process import Program, environment
from esm.demo.server import served

REQUIREMENT = "ministack==1.5.33"


@asynccontextmanager
async def emulator(session: aiohttp.ClientSession, work: Path, say: Callable[[str], None]) -> AsyncIterator[str]:
    """Runs one; gives its URL. Raises `DemoFailed` if it cannot be installed or does not start."""
    home = await installed(_wanted(), say)
    python = home / "bin" / "python"
    async with served(session, lambda port: _program(python, port, work), "/_ministack/health") as url:
        yield url


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


def _wanted() -> Wanted:
    """An environment belongs to the interpreter that made it."""
    return Wanted(
        name="emulator",
        belongs_to=f"{REQUIREMENT} {sys.version} {sys.base_prefix}",
        told=f"Installing the emulator ({REQUIREMENT})",
        make=_make,
    )


async def _make(home: Path) -> None:
    """With our own pip if there is one: giving the environment its own takes as long as the rest together."""
    ours = find_spec("pip") is not None
    await _tool(sys.executable, "-m", "venv", *(["--without-pip"] if ours else []), str(home))
    python = str(home / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python] if ours else [python, "-m", "pip"]
    await _tool(*pip, "install", "--quiet", "--no-compile", REQUIREMENT)


async def _tool(*argv: str) -> None:
    done = await ended(argv, {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    if done.code != 0:
        raise DemoFailed(
            f"the emulator could not be installed; this command failed:\n  {' '.join(argv)}\n{done.output}\n"
            "It needs the venv module of Python (Debian: apt-get install python3-venv) and a package index."
        )
