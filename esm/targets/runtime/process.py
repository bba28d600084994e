"""One process of a function, in a session of its own: what it starts ends with it, and signals that a terminal
or a supervisor sends to the engine's group do not reach it.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from msgspec import Struct

from esm.targets.runtime import keeper
from esm.targets.runtime.output import Output


class Program(Struct, frozen=True):
    """What to run: an absolute path and its arguments, the folder it runs in, and its environment."""

    argv: Sequence[str]
    folder: str
    variables: Mapping[str, str]


class Keeper:
    """The engine's end of the pipe to `keeper`."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def note(self, sign: str, group: int) -> None:
        """`+`: it was started, `-`: it is gone."""
        with suppress(OSError):  # without its keeper a function still runs
            os.write(self._pipe, f"{sign}{group}\n".encode())


@asynccontextmanager
async def keeping() -> AsyncIterator[Keeper]:
    """Has a keeper until the context ends; then whatever it was told to keep is dead.

    Raises OSError if it cannot be started.
    """
    reading, writing = os.pipe()
    try:
        argv = (sys.executable, "-I", "-S", str(Path(keeper.__file__)))
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=reading, stdout=DEVNULL, start_new_session=True
        )
        try:
            yield Keeper(writing)
        finally:
            os.close(writing)
            await process.wait()
    finally:
        os.close(reading)


async def spawn(program: Program, output: Output) -> Process:
    """Raises OSError if it cannot be started."""
    try:
        return await asyncio.create_subprocess_exec(
            *program.argv,
            stdin=DEVNULL,
            stdout=output.writing,
            stderr=output.writing,
            cwd=program.folder,
            env=program.variables,
            start_new_session=True,
        )
    finally:
        output.started()


def signal_group(process: Process, number: signal.Signals) -> None:
    """To the process and everything it started; none of them may be left."""
    with suppress(OSError):
        os.killpg(process.pid, number)
