"""The Lambda Runtime API over HTTP, for the workers of one place.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. A path prefix is the secret of the place, if it
has one; whoever does not know it is told nothing.
"""

import hmac
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from socket import socket

from aiohttp import web

from esm.model import Returned
from esm.targets.runtime.desk import Closed, Desk, Errand, Place
from esm.targets.runtime.replies import LARGEST_ANSWER, TOO_LARGE, failed, meta, reported, trace
from esm.targets.thrown import short

_ROOT = "/2018-06-01/runtime/"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_MODE = "Lambda-Runtime-Function-Response-Mode"
_STREAMED = "Runtime.StreamingUnsupported"
_GOODBYE = 1.0
_LARGEST_HEADER = 2**21  # the clients put the cause of an error into one, up to 1 MiB of it
_MOST_HEADERS = 24  # clients send about ten, and a stranger's are held in memory until the last one is there


class _TooLarge(Exception):
    """More bytes than a worker may send."""


class RuntimeApi:
    """Serves one place. `arn` is the function's, `timeout` in seconds, `wall` gives epoch seconds."""

    def __init__(
        self,
        desk: Desk,
        place: Place,
        arn: str,
        timeout: float,
        *,
        secret: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._desk = desk
        self._place = place
        self._arn = arn
        self._timeout = timeout
        self._prefix = f"/{secret}".encode() if secret else b""
        self._wall = wall

    def app(self) -> web.Application:
        """One route: a wrong prefix and a wrong path are answered alike."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.StreamResponse:
        prefix, root, path = request.path.partition(_ROOT)
        if not root or not hmac.compare_digest(prefix.encode(errors="replace"), self._prefix):
            self._place.stranger()
            return web.Response(status=404)
        match request.method, path.split("/"):
            case "GET", ["invocation", "next"]:
                return await self._next()
            case "POST", ["invocation", request_id, "response"]:
                return await self._response(request, request_id)
            case "POST", ["invocation", request_id, "error"]:
                return await self._error(request, request_id)
            case "POST", ["init", "error"]:
                return await self._init_error(request)
        return web.Response(status=404)

    async def _next(self) -> web.Response:
        self._place.attached()
        try:
            errand = await self._desk.next(self._place)
        except Closed:
            return _refusal(500, "the engine stops", "Runtime.Closed")
        return web.Response(body=errand.payload, headers=self._headers(errand), content_type="application/json")

    def _headers(self, errand: Errand) -> Mapping[str, str]:
        now = self._wall()
        return {
            "Lambda-Runtime-Aws-Request-Id": errand.id,
            "Lambda-Runtime-Deadline-Ms": str(int((now + self._timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._arn,
            "Lambda-Runtime-Trace-Id": trace(errand.id, now),
        }

    async def _response(self, request: web.Request, request_id: str) -> web.Response:
        if not self._desk.holds(request_id, self._place):
            return _unknown()
        if request.headers.get(_MODE, "").lower() == "streaming":
            return self._streamed(request_id)
        try:
            body = await _body(request)
        except _TooLarge:
            return self._too_large(request_id)
        return self._ended(self._desk.end(request_id, self._place, Returned(body, meta(request_id))))

    async def _error(self, request: web.Request, request_id: str) -> web.Response:
        if not self._desk.holds(request_id, self._place):
            return _unknown()
        try:
            body = await _body(request)
        except _TooLarge:
            return self._too_large(request_id)
        kind, text = reported(body, request.headers.get(_ERROR_TYPE))
        reply = failed(kind, text, meta(request_id, self._place.tail()))
        return self._ended(self._desk.end(request_id, self._place, reply))

    async def _init_error(self, request: web.Request) -> web.Response:
        try:
            kind, text = reported(await _body(request), request.headers.get(_ERROR_TYPE))
        except _TooLarge:
            kind, text = "Unhandled", TOO_LARGE
        self._place.broken(short(f"{kind}: {text}" if text else kind))
        return _accepted()

    def _streamed(self, request_id: str) -> web.Response:
        """An error in the middle of a stream comes in a trailer, so a failure could pass for an answer."""
        text = "the function streams its response, which an event source mapping cannot use: return it whole"
        self._desk.end(request_id, self._place, failed(_STREAMED, text, meta(request_id, self._place.tail())))
        self._place.answered()
        return _refusal(400, text, _STREAMED)

    def _too_large(self, request_id: str) -> web.Response:
        reply = failed("Function.ResponseSizeTooLarge", TOO_LARGE, meta(request_id, self._place.tail()))
        self._desk.end(request_id, self._place, reply)
        self._place.answered()
        return _refusal(413, TOO_LARGE, "RequestEntityTooLarge")

    def _ended(self, known: bool) -> web.Response:  # noqa: FBT001 - what the desk said
        """An invocation may have run out of time while its answer was on the way."""
        self._place.answered()
        return _accepted() if known else _unknown()


async def _body(request: web.Request) -> bytes:
    """Raises _TooLarge as soon as it is."""
    if (request.content_length or 0) > LARGEST_ANSWER:
        raise _TooLarge
    chunks: list[bytes] = []
    size = 0
    while chunk := await request.content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise _TooLarge
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _accepted() -> web.Response:
    return web.json_response({"status": "OK"}, status=202)


def _unknown() -> web.Response:
    return _refusal(400, "no such invocation: it was answered, took too long, or never was", "InvalidRequestID")


def _refusal(status: int, text: str, kind: str) -> web.Response:
    return web.json_response({"errorMessage": text, "errorType": kind}, status=status)


@asynccontextmanager
async def serve(api: RuntimeApi, listener: socket) -> AsyncIterator[None]:
    """Serves until the context ends; a worker that hangs up while it waits is forgotten at once."""
    runner = web.AppRunner(
        api.app(),
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,
        shutdown_timeout=_GOODBYE,
        max_field_size=_LARGEST_HEADER,
        max_headers=_MOST_HEADERS,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()
