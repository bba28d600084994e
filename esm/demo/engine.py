"""The engine under demonstration: `esm run`, as anybody would start it, and what it says of itself."""

import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from typing import Any

import aiohttp
from msgspec import Struct

from esm.demo.failures import DemoFailed
from esm.demo.journal import FOLDER_VARIABLE
from esm.demo.process import Program, Running, environment, running
from esm.demo.sqs import Queue

_START_SECONDS = 20.0
_READY = re.compile(r'"message":"ready".*"metrics":"(http://[^"]+)/metrics"')
_TAKEN = "server.listen: "

_CONFIG = Template("""\
namespace: demo
aws: {region: us-east-1, endpoint_url: "$endpoint"}
server: {listen: "127.0.0.1:$port"}
shutdown_grace: 10s
targets:
  function: {type: python, handler: "$handler", timeout: 20s}
mappings:
  orders:
    source: {type: sqs, arn: "$orders", wait_time_seconds: 2} # short long polls, so that it stops soon
    target: function
    batch_size: 10
    function_response_types: [ReportBatchItemFailures]
  payments:
    source: {type: sqs, arn: "$payments", wait_time_seconds: 2}
    target: function
    batch_size: 10
    function_response_types: [ReportBatchItemFailures]
    fifo_failure: group # what follows a failed message of a group waits until that one has succeeded or is dead
""")


class Setting(Struct, frozen=True):
    """What the engine is started with; everything it writes goes below `work`.

    `port`: where its metrics and status are wanted, 0 for any.
    """

    work: Path
    endpoint: str
    port: int
    handler: str
    orders: Queue
    payments: Queue

    @property
    def journal(self) -> Path:
        """The folder that the function writes to."""
        return self.work / "journal"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.work / "demo.yaml"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.work / "esm.log"


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
        _configure(setting, port)
        async with running(_program(setting)) as run:
            try:
                await run.ready(lambda: _is_ready(session, setting.log), _START_SECONDS)
            except DemoFailed as failure:
                if port == 0 or _TAKEN not in str(failure):
                    raise
                continue
            yield Engine(run, setting, session, _listens_at(setting.log) or "")
            return


def _configure(setting: Setting, port: int) -> None:
    setting.config.write_text(
        _CONFIG.substitute(
            endpoint=setting.endpoint,
            port=port,
            handler=setting.handler,
            orders=setting.orders.arn,
            payments=setting.payments.arn,
        )
    )


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
