"""A program as a process of its own, which never outlives the context it was started in, even if we are killed.

It gets a session of its own, so that Ctrl-C in a terminal reaches the demonstration alone, which then ends its
programs in order.
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from esm.demo.failures import DemoFailed
from esm.targets.runtime.process import keeping

_POLL_SECONDS = 0.05
_STOP_SECONDS = 15.0
_TAIL_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `name` is for messages; standard output and error go to `log`; `cwd` if it asks for a place.

    `ends_by`: the signal that ends it.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    cwd: Path | None = None
    ends_by: signal.Signals = signal.SIGTERM


class Running:
    """A program that runs."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self._program = program
        self._process = process

    async def ready(self, answers: Callable[[], Awaitable[bool]], within: float) -> None:
        """Returns when `answers` does; raises `DemoFailed` if it ends before, or takes longer (seconds)."""
        try:
            async with asyncio.timeout(within):
                while not await answers():
                    self.check()
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise DemoFailed(f"{self._program.name} did not answer within {within:g} s{self._tail()}") from None
        self.check()

    def check(self) -> None:
        """Raises `DemoFailed` with the end of its log if it does not run any more."""
        code = self._process.returncode
        if code is not None:
            raise DemoFailed(f"{self._program.name} ended with exit code {code}{self._tail()}")

    async def stop(self) -> int:
        """Ends it by its signal; after 15 s, or if we are cancelled meanwhile, it is killed. Its exit code."""
        with suppress(ProcessLookupError):
            self._process.send_signal(self._program.ends_by)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            self._kill_group()
        return await self._process.wait()

    def _kill_group(self) -> None:
        """Whatever is left of it: a program that ended may leave children."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _tail(self) -> str:
        text = self._program.log.read_text(errors="replace")[-_TAIL_CHARACTERS:].strip()
        return f"\nIts log ends with:\n{text}" if text else "\nIts log is empty."


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Running]:
    """Runs it for as long as the context is open. Raises `DemoFailed` if there is no such program."""
    async with keeping() as keeper:
        process = await _started(program)
        keeper.note("+", process.pid)
        run = Running(program, process)
        try:
            yield run
        finally:
            await run.stop()
            keeper.note("-", process.pid)


async def _started(program: Program) -> asyncio.subprocess.Process:
    with program.log.open("ab") as log:
        try:
            return await asyncio.create_subprocess_exec(
                *program.argv,
                env=dict(program.env),
                cwd=program.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise DemoFailed(f"{program.name} cannot be started: {error}") from None


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours, less what could lead to a real account or through a proxy, with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **extra,
    }


def free_port(wanted: int = 0) -> int:
    """`wanted` if nothing listens there on 127.0.0.1, else another."""
    for port in (wanted, 0):
        with socket.socket() as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    raise DemoFailed("no port of 127.0.0.1 is free")
