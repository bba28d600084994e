"""A relay before a server that loses answers: the server has done its work, the client never hears of it."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web


class Relay:
    """At `url`, in front of another server."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self._upstream = upstream
        self._session = session
        self._losing: Counter[str] = Counter()

    def lose(self, operation: str, *, times: int) -> None:
        """The next answers to this operation are lost, and their connections with them."""
        self._losing[operation] += times

    async def handle(self, request: web.Request) -> web.Response:
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with self._session.post(
            self._upstream + request.path, data=await request.read(), headers=headers
        ) as answer:
            body = await answer.read()
        if self._losing[operation]:
            self._losing[operation] -= 1
            assert request.transport
            request.transport.close()
        return web.Response(body=body, status=answer.status, headers=_kept(answer))


@asynccontextmanager
async def relaying(upstream: str) -> AsyncIterator[Relay]:
    async with aiohttp.ClientSession() as session:
        relay = Relay(upstream, session)
        app = web.Application()
        app.router.add_post("/{path:.*}", relay.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            relay.url = f"http://{host}:{port}"
            yield relay
        finally:
            await runner.cleanup()


def _kept(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {
        name: value for name, value in answer.headers.items() if name.lower().startswith(("x-amz", "content-type"))
    }
