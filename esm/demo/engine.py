"""The engine under demonstration: `esm run`, as anybody would start it, and what it says of itself."""

import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from esm.demo.example import Setting
from esm.demo.failures import DemoFailed
from esm.demo.journal import FOLDER_VARIABLE
from esm.demo.process import Program, Running, environment, running

_START_SECONDS = 20.0
_READY = re.compile(r'"message":"ready".*"metrics":"(http://[^"]+)/metrics"')
_TAKEN = "server.listen: "


class Engine(Struct, frozen=True):
    """An engine that is ready. `url`: of its metrics and status."""

    run: Running
    setting: Setting
    session: aiohttp.ClientSession
    url: str

    async def mappings(self) -> dict[str, Any]:
        """What `/status` says of each mapping. Raises `DemoFailed` if the engine is gone."""
        self.run.check()
        try:
            async with self.session.get(f"{self.url}/status") as response:
                return dict((await response.json())["mappings"])
        except (aiohttp.ClientError, TimeoutError):
            self.run.check()
            return {}


@asynccontextmanager
async def engine(session: aiohttp.ClientSession, setting: Setting) -> AsyncIterator[Engine]:
    """Runs it; stopped in order when the context is left. Raises `DemoFailed` if it does not become ready.

    Somebody else, a second demonstration perhaps, may take the wanted port first: then the system chooses one.
    """
    setting.journal.mkdir()
    for port in (setting.port, 0):
        setting.configure(port)
        async with running(_program(setting)) as run:
            try:
                await run.ready(lambda: _is_ready(session, setting.log), _START_SECONDS)
            except DemoFailed as failure:
                if port == 0 or _TAKEN not in str(failure):
                    raise
                continue
            yield Engine(run, setting, session, _listens_at(setting.log) or "")
            return


def command(*arguments: str) -> Sequence[str]:
    """The command line of this installation, whatever the PATH says."""
    return (sys.executable, "-m", "esm", *arguments)


def _program(setting: Setting) -> Program:
    env = environment({FOLDER_VARIABLE: str(setting.journal), "TMPDIR": str(setting.work)})
    return Program("the engine", command("run", "--config", str(setting.config)), env, setting.log)


def _listens_at(log: Path) -> str | None:
    """As the engine says itself: at the port that was wanted, another one might answer."""
    found = _READY.search(log.read_text(errors="replace"))
    return found and found[1]


async def _is_ready(session: aiohttp.ClientSession, log: Path) -> bool:
    url = _listens_at(log)
    if url is None:
        return False
    try:
        async with session.get(f"{url}/readyz") as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
