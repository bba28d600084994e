"""Functions behind HTTP for tests: a well-behaved server, and one that writes whatever bytes a test wants."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


def free_port() -> int:
    """A port nobody listens on, for now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _obey(request: web.Request) -> web.Response:
    event = await request.json()
    match event["do"]:
        case "answer":
            return web.json_response(event["answer"])
        case "raise":
            error = {"errorType": "RuntimeError", "errorMessage": event["text"]}
            return web.json_response(error, headers={"X-Amz-Function-Error": "Unhandled"})
        case _:
            await asyncio.Event().wait()
            raise AssertionError


@asynccontextmanager
async def obedient_server(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Does what the event says (see `esm.testing.target_suite`); gives its URL."""
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/invoke", _obey)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, reuse_address=True)
        await site.start()
        taken = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{taken}/invoke"
    finally:
        await runner.cleanup()


@dataclass
class Request:
    """A request as it came over the wire."""

    head: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Wire:
    """One connection as the server sees it; `number` counts connections from 1."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[Request]

    async def request(self) -> Request:
        """The next request, noted. Raises IncompleteReadError when there is none."""
        head, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(Request(head, headers, body))
        return self.requests[-1]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def wait_for_close(self) -> None:
        await self.reader.read()

    def reset(self) -> None:
        """Ends the connection with an RST."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.writer.transport.abort()


Behaviour = Callable[[Wire], Awaitable[None]]


@dataclass
class RawServer:
    url: str = ""
    connections: int = 0
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def raw_server(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """A server of which every connection is treated by `behave` and then closed."""
    seen = RawServer()
    writers: set[Any] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await behave(Wire(seen.connections, reader, writer, seen.requests))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=2**24)
    seen.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/invoke"
    try:
        yield seen
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()
