"""The workers that the engine starts, and whether one of them can be expected to take an invocation."""

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from socket import create_server

from msgspec import structs

from esm.targets.local_function import Identity
from esm.targets.runtime import environment
from esm.targets.runtime.api import RuntimeApi, serve
from esm.targets.runtime.desk import Desk, Place
from esm.targets.runtime.options import RuntimeOptions
from esm.targets.runtime.process import Program, keeping
from esm.targets.runtime.worker import Worker

_LOG = logging.getLogger("esm.function")
_HERE = "127.0.0.1"

ApiOf = Callable[[Place], RuntimeApi]


class Crew:
    """So many workers."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    @property
    def ready(self) -> bool:
        """One of them has asked for an invocation."""
        return any(worker.ready for worker in self._workers)

    @property
    def trouble(self) -> str:
        """Why none of them can be expected to; empty if one can."""
        return self._workers[0].trouble if all(worker.trouble for worker in self._workers) else ""


def program_of(options: RuntimeOptions, identity: Identity) -> Program:
    """The command with its program found as a shell would. Raises ValueError if it cannot be."""
    name, *arguments = options.command or ("",)
    folder = os.path.realpath(options.working_directory or ".")
    if not Path(folder).is_dir():
        raise ValueError(f"working_directory: there is no folder {folder}")
    added = {name: value.get_secret_value() for name, value in options.environment.items()}
    variables = environment.variables(identity, (name, *arguments)[-1], folder, added, os.environ)
    program = shutil.which(str(Path(folder, name)) if "/" in name else name, path=variables.get("PATH"))
    if program is None:
        raise ValueError(f"command: there is no program {name!r} that can be run")
    return Program((str(Path(program).absolute()), *arguments), folder, variables)


@asynccontextmanager
async def working(
    name: str, count: int, program: Program, desk: Desk, *, api_of: ApiOf, chance: Callable[[], float]
) -> AsyncIterator[Crew]:
    """`count` workers until the context ends. Raises OSError if not even their ports can be had."""
    async with AsyncExitStack() as opened:
        keeper = await opened.enter_async_context(keeping())
        workers = []
        for number in range(1, count + 1):
            listener = create_server((_HERE, 0))
            api = f"{_HERE}:{listener.getsockname()[1]}"
            own = structs.replace(program, variables=environment.of_worker(program.variables, number, api))
            worker = Worker(own, desk, say=_sayer(name, number), chance=chance)
            await opened.enter_async_context(serve(api_of(worker), listener))
            workers.append(worker)
        async with asyncio.TaskGroup() as owners:
            tasks = [owners.create_task(worker.run(keeper)) for worker in workers]
            try:
                yield Crew(workers)
            finally:
                for worker in workers:
                    worker.stop()
                await asyncio.wait(tasks)


def _sayer(name: str, number: int) -> Callable[[str], None]:
    return lambda line: _LOG.info("%s[%d]: %s", name, number, line)
