"""The engine under demonstration: `esm run`, as anybody would start it, and what it says of itself."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from typing import Any

import aiohttp
from msgspec import Struct

from esm.demo.journal import FOLDER_VARIABLE
from esm.demo.process import Program, Running, environment, running
from esm.demo.sqs import Queue

_START_SECONDS = 20.0

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
    """What the engine is started with; everything it writes goes below `work`."""

    work: Path
    endpoint: str
    port: int
    handler: str
    orders: Queue
    payments: Queue

    @property
    def url(self) -> str:
        """Of its metrics and status."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def journal(self) -> Path:
        """The folder that the function writes to."""
        return self.work / "journal"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.work / "demo.yaml"


class Engine(Struct, frozen=True):
    """An engine that is ready."""

    run: Running
    setting: Setting
    session: aiohttp.ClientSession

    async def mappings(self) -> dict[str, Any]:
        """What `/status` says of each mapping. Raises `DemoFailed` if the engine is gone."""
        self.run.check()
        try:
            async with self.session.get(f"{self.setting.url}/status") as response:
                return dict((await response.json())["mappings"])
        except (aiohttp.ClientError, TimeoutError):
            self.run.check()
            return {}


@asynccontextmanager
async def engine(session: aiohttp.ClientSession, setting: Setting) -> AsyncIterator[Engine]:
    """Runs it; stopped in order when the context is left. Raises `DemoFailed` if it does not become ready."""
    setting.journal.mkdir()
    setting.config.write_text(
        _CONFIG.substitute(
            endpoint=setting.endpoint,
            port=setting.port,
            handler=setting.handler,
            orders=setting.orders.arn,
            payments=setting.payments.arn,
        )
    )
    async with running(_program(setting)) as run:
        await run.ready(lambda: _is_ready(session, setting.url), _START_SECONDS)
        yield Engine(run, setting, session)


def command(*arguments: str) -> Sequence[str]:
    """The command line of this installation, whatever the PATH says."""
    return (sys.executable, "-m", "esm", *arguments)


def _program(setting: Setting) -> Program:
    env = environment({FOLDER_VARIABLE: str(setting.journal), "TMPDIR": str(setting.work)})
    return Program("the engine", command("run", "--config", str(setting.config)), env, setting.work / "esm.log")


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
