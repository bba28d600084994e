"""A worker by hand: asks the Runtime API of a target, and answers as the test wants."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from functions.http_servers import free_port

from esm.model import Invocation
from esm.plugins import TargetContext
from esm.targets.runtime import RuntimeOptions, open_runtime
from esm.targets.runtime.target import RuntimeTarget

CONTEXT = TargetContext("billing", {"region": "eu-west-1"})
PATIENCE = 20.0


def call(**event: Any) -> Invocation:
    return Invocation(json.dumps(event).encode(), "orders", "batch-7", 2, "k")


@dataclass
class Asked:
    """An invocation as a worker gets it."""

    id: str
    headers: Any
    event: Any


@dataclass
class Hand:
    """`root` is the URL before the version of the API."""

    session: aiohttp.ClientSession
    root: str

    async def next(self) -> Asked:
        async with self.session.get(self._url("invocation/next")) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/json"
            return Asked(answer.headers["Lambda-Runtime-Aws-Request-Id"], answer.headers, await answer.json())

    async def respond(self, request_id: str, body: Any, headers: Any = None) -> tuple[int, Any]:
        return await self.post(f"invocation/{request_id}/response", body, headers)

    async def fail(self, request_id: str, body: Any, headers: Any = None) -> tuple[int, Any]:
        return await self.post(f"invocation/{request_id}/error", body, headers)

    async def post(self, path: str, body: Any, headers: Any = None) -> tuple[int, Any]:
        """Status and decoded body of the answer."""
        async with self.session.post(self._url(path), data=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def status(self, method: str, url: str) -> tuple[int, str]:
        async with self.session.request(method, url) as answer:
            return answer.status, await answer.text()

    def _url(self, path: str) -> str:
        return f"{self.root}/2018-06-01/runtime/{path}"


@asynccontextmanager
async def listening(
    timeout: float = PATIENCE, secret: str | None = None
) -> AsyncIterator[tuple[RuntimeTarget, Hand]]:
    """A target for workers from outside, and a worker that has not asked yet."""
    at = f"127.0.0.1:{free_port()}"
    options = RuntimeOptions.model_validate({"listen": at, "timeout": timeout, "secret": secret})
    async with aiohttp.ClientSession() as session, open_runtime(options, CONTEXT) as target:
        yield target, Hand(session, f"http://{at}/{secret}" if secret else f"http://{at}")
