"""Every target, and the scripted one, keeps the contract of the port."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from functions.http_servers import free_port, obedient_server

from esm.model import Errored, Invocation, Outcome, Refused, Returned
from esm.plugins import TargetContext
from esm.ports import Target
from esm.targets import http, python
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


HARNESSES: Sequence[Harness] = (
    OverHttp(),
    InPython("scripted"),
    InPython("scripted_async"),
    InPython("wrapped"),
    Scripted(),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(
    "harness", HARNESSES, ids=["http", "python-sync", "python-async", "python-wrapped", "scripted"]
)
async def test_a_target_keeps_its_contract(harness: Harness, rule: Rule) -> None:
    await rule(harness)
