"""The little HTTP/1.1 that the servers of a benchmark need.

A general HTTP server would cost more CPU than the clients that are measured, and would become the limit.
They speak to well-behaved clients only: a request with a body carries a Content-Length.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import NamedTuple

import uvloop

END_OF_HEAD = b"\r\n\r\n"
REASONS = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 500: b"Internal Server Error"}


class Request(NamedTuple):
    method: bytes
    path: str
    operation: str
    body: bytes


def header(head: bytes, name: bytes) -> bytes:
    """The value of a header in a lower-cased head, or nothing. `name` ends with a colon."""
    start = head.find(b"\r\n" + name)
    if start < 0:
        return b""
    start += len(name) + 2
    end = head.find(b"\r\n", start)
    return head[start:].strip() if end < 0 else head[start:end].strip()


class RequestReader:
    """Cuts a byte stream into requests; a request that is not complete waits for the next bytes."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Request]:
        self._rest += data
        while (end := self._rest.find(END_OF_HEAD)) >= 0:
            head = bytes(self._rest[:end])
            lowered = head.lower()
            start = end + len(END_OF_HEAD)
            stop = start + int(header(lowered, b"content-length:") or b"0")
            if len(self._rest) < stop:
                return
            body = bytes(self._rest[start:stop])
            del self._rest[:stop]
            yield self._request(head, lowered, body)

    @staticmethod
    def _request(head: bytes, lowered: bytes, body: bytes) -> Request:
        method, path, _ = head.split(b"\r\n", 1)[0].split(b" ", 2)
        target = lowered.find(b"\r\nx-amz-target:")
        operation = b""
        if target >= 0:
            value = head[target + len(b"\r\nx-amz-target:") :].split(b"\r\n", 1)[0]
            operation = value.strip().rsplit(b".", 1)[-1]
        return Request(method, path.decode(), operation.decode(), body)


def response(status: int, body: bytes, content_type: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nx-amzn-RequestId: 0\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        REASONS[status],
        content_type,
        len(body),
        body,
    )


class Connection(asyncio.Protocol):
    """Writes what `answer` makes of each request, `delay` seconds after it came."""

    def __init__(self, answer: Callable[[Request], bytes], delay: float) -> None:
        self._answer = answer
        self._delay = delay
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        for request in self._reader.feed(data):
            answer = self._answer(request)
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


def server_arguments(about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--port", type=int, default=0, help="0: any free port; the port is the first line printed")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer is written")
    return parser


def serve(make: Callable[[int], Callable[[], asyncio.Protocol]], port: int) -> None:
    """Serve on loopback until killed; `make` gets the port and returns the factory of connections."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    bound = listener.getsockname()[1]

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(make(bound), sock=listener, backlog=4096)
        print(bound, flush=True)
        await server.serve_forever()

    uvloop.run(main())
