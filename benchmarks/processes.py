"""Child processes: started on loopback, watched from outside, stopped again whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 20
MEMBERS_EVERY = 10  # looks at a process between two looks for its children: finding them costs a scan of /proc
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def allow_open_files() -> None:
    """A thousand connections, each with two ends here: children inherit what the system allows at most."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def machine_busy() -> float:
    """CPU seconds that all processes of the machine have used, on all cores together."""
    spent = psutil.cpu_times()
    idle = spent.idle + getattr(spent, "iowait", 0.0)
    return float(sum(spent[:8]) - idle)  # what follows, on Linux, is contained in the first eight


class Meter:
    """CPU and memory of a process and all its children, alive or already waited for."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._children: list[psutil.Process] = []
        self._looks = 0
        self.peak_rss = 0

    def look(self) -> tuple[float, int]:
        """CPU seconds (user and system) so far, and the bytes resident now, of which the peak is kept."""
        if self._looks % MEMBERS_EVERY == 0:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._children = self._root.children(recursive=True)
        self._looks += 1
        cpu, rss = 0.0, 0
        for process in (self._root, *self._children):
            with contextlib.suppress(psutil.NoSuchProcess):
                spent = process.cpu_times()
                cpu += spent.user + spent.system + spent.children_user + spent.children_system
                rss += process.memory_info().rss
        self.peak_rss = max(self.peak_rss, rss)
        return cpu, rss


class Child:
    """A process under test; what it writes goes to a file, of which the end is shown when it fails."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self.meter = Meter(process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def terminate(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)

    async def wait(self, seconds: float) -> int | None:
        """The exit code, or None when it had to be killed after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            return None


@contextlib.asynccontextmanager
async def child(*command: str) -> AsyncIterator[Child]:
    """A Python child; killed at the end if it is still there."""
    with tempfile.NamedTemporaryFile(prefix="benchmark-", suffix=".log") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=ROOT, env=os.environ | CREDENTIALS, stdout=log, stderr=log
        )
        started = Child(process, Path(log.name))
        try:
            yield started
        finally:
            await started.wait(0)


@contextlib.asynccontextmanager
async def server(module: str, *options: str) -> AsyncIterator[tuple[str, Meter]]:
    """One of the servers of this package; its URL without a slash at the end, and its meter."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *options, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}", Meter(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # Waited for by way of its pipe too, so that no transport outlives the loop.
        await process.communicate()
