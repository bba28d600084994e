"""Every target, and the scripted one, keeps the contract of the port."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from functions.http_servers import free_port, obedient_server

from esm.model import Errored, Invocation, Outcome, Refused, Returned
from esm.plugins import TargetContext
from esm.ports import Target
from esm.targets import http, python, runtime
from esm.testing.target import ScriptedTarget, Turn
from esm.testing.target_suite import RULES, Harness, Rule

CONTEXT = TargetContext("billing", {})
FUNCTIONS = str(Path(__file__).parents[1] / "functions")


class OverHttp:
    @asynccontextmanager
    async def obedient(self, timeout: float) -> AsyncIterator[Target]:
        async with obedient_server() as url:
            options = http.HttpOptions(url=url, timeout=timeout)
            async with http.open_http(options, CONTEXT) as target:
                yield target

    def absent(self) -> AbstractAsyncContextManager[Target] | None:
        return http.open_http(http.HttpOptions(url=f"http://127.0.0.1:{free_port()}/"), CONTEXT)


class InPython:
    def __init__(self, function: str) -> None:
        self._handler = f"handlers:{function}"

    def obedient(self, timeout: float) -> AbstractAsyncContextManager[Target]:
        options = python.PythonOptions(handler=self._handler, timeout=timeout, workers=2, path=FUNCTIONS)
        return python.open_python(options, CONTEXT)

    def absent(self) -> None:
        """A handler that is not there is a mistake of the configuration."""


def runtime_target(timeout: float, **options: Any) -> AbstractAsyncContextManager[Target]:
    return runtime.open_runtime(runtime.RuntimeOptions(timeout=timeout, **options), CONTEXT)


class OfTheEngine:
    """AWS's runtime client, started by the engine."""

    def __init__(self, *command: str) -> None:
        self._command = command

    def obedient(self, timeout: float) -> AbstractAsyncContextManager[Target]:
        return runtime_target(timeout, command=self._command, workers=2, working_directory=FUNCTIONS)

    def absent(self) -> None:
        """A program that is not there is a mistake of the configuration."""


class FromOutside:
    """AWS's runtime client, started by somebody else. The one for Node takes no path, so it needs no secret."""

    def __init__(self, *command: str) -> None:
        self._command = command
        self._secret = "" if command[0] == "node" else "s3cret-s3cret-s3cret"

    @asynccontextmanager
    async def obedient(self, timeout: float) -> AsyncIterator[Target]:
        at = f"127.0.0.1:{free_port()}"
        async with runtime_target(timeout, listen=at, secret=self._secret or None) as target:
            # Nobody ends one that hangs, so there are enough of them for every rule.
            with containers(self._command, f"{at}/{self._secret}".rstrip("/"), count=4):
                await attached(target)
                yield target
            # asyncio leaks a connection that it accepts in the very moment its listener is closed.
            for _ in range(20):
                await asyncio.sleep(0)

    def absent(self) -> AbstractAsyncContextManager[Target] | None:
        return runtime_target(5.0, listen="127.0.0.1:0")


@contextmanager
def containers(command: Sequence[str], api: str, count: int) -> Iterator[None]:
    """With the variables that AWS's images have, and those that the documentation asks for."""
    variables = {
        "AWS_LAMBDA_RUNTIME_API": api,
        "_HANDLER": command[-1],
        "LAMBDA_TASK_ROOT": FUNCTIONS,
        "AWS_LAMBDA_FUNCTION_NAME": "billing",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/billing",
        "AWS_LAMBDA_LOG_STREAM_NAME": "container",
    }
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, **variables},
            cwd=FUNCTIONS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


async def attached(target: Target) -> None:
    """Returns when a worker has answered."""
    question = Invocation(b'{"do": "answer", "answer": 1}', "orders", "batch", 1, "0" * 64)
    async with asyncio.timeout(30):
        while isinstance(await target.invoke(question), Refused):  # noqa: ASYNC110 - a process does not tell
            await asyncio.sleep(0.05)


class Scripted:
    @asynccontextmanager
    async def obedient(self, timeout: float) -> AsyncIterator[Target]:
        yield ScriptedTarget(_play, timeout)

    @asynccontextmanager
    async def absent(self) -> AsyncIterator[Target]:
        yield ScriptedTarget(lambda _: Turn(Refused(Outcome.UNREACHABLE, "nobody there")))


def _play(call: Invocation) -> Turn:
    event = json.loads(call.payload)
    match event["do"]:
        case "answer":
            return Turn(Returned(json.dumps(event["answer"]).encode()))
        case "raise":
            return Turn(Errored(Outcome.FUNCTION_ERROR, " ".join(event["text"].split())[:300]))
        case _:
            return Turn(Returned(b"null"), after=86400.0)


PYTHON_CLIENT = (sys.executable, "-m", "awslambdaric", "lambda_handlers.handler")

HARNESSES: Sequence[Harness] = (
    OverHttp(),
    InPython("scripted"),
    InPython("scripted_async"),
    InPython("wrapped"),
    OfTheEngine(*PYTHON_CLIENT),
    FromOutside(*PYTHON_CLIENT),
    Scripted(),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(
    "harness",
    HARNESSES,
    ids=["http", "python-sync", "python-async", "python-wrapped", "runtime", "runtime-outside", "scripted"],
)
async def test_a_target_keeps_its_contract(harness: Harness, rule: Rule) -> None:
    await rule(harness)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("kind", [OfTheEngine, FromOutside])
async def test_a_function_in_node_keeps_it_too(
    kind: Callable[..., Harness], rule: Rule, node_client: Path
) -> None:
    program = node_client / "node_modules" / "aws-lambda-ric" / "index.mjs"
    await rule(kind("node", str(program), "lambda_handlers.handler"))
