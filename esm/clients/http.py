"""HTTP calls whose every ending is a value: answered, unreached, lapsed or broken.

What a caller must know about a failed call is whether the other side can have acted on it. So the pool tells
each call when it has its connection: what fails before was never sent, what fails later may have been. There
is one exception, a kept-alive connection that the server had closed while it was idle: what was written to it
is sent once more, over a new connection, and only that answer counts.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from io import BytesIO
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from msgspec import Struct
from yarl import URL

from esm.clients.tls import knock

_LONGEST_HANDSHAKE = 10.0
_IN_ONE_PIECE = 2**20  # aiohttp wants larger bodies as a file, so that it can write them bit by bit


class Answered(Struct, frozen=True):
    """A complete answer; `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreached(Struct, frozen=True):
    """Nothing was sent: no name, no connection, no handshake."""

    why: str


class Lapsed(Struct, frozen=True):
    """The request was sent, and the answer was not complete in time."""


class Broken(Struct, frozen=True):
    """The request was sent, and what came back is no complete, well-formed answer of bearable size."""

    why: str


Exchange = Answered | Unreached | Lapsed | Broken


class _Cut(Struct, frozen=True):
    """The request was sent and the connection ended before any byte of an answer."""

    why: str
    reused: bool


class Limits(Struct, frozen=True):
    """What one client may use.

    `timeout`: seconds from having a connection to the end of the answer; getting one may take as long again.
    `connections`: most open at once, 0 for any number. `body`: most bytes of an answer, after decompression.
    """

    timeout: float
    connections: int
    body: int


class _Try:
    """How far one sending of a call has come."""

    __slots__ = ("answered", "clock", "connected", "reused", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.clock = asyncio.timeout(None)
        self.connected = False
        self.reused = False
        self.answered = False

    def has_connection(self, *, reused: bool) -> None:
        self.connected = True
        self.reused = reused
        self.clock.reschedule(asyncio.get_running_loop().time() + self.seconds)

    def was_cut(self, error: Exception) -> bool:
        """True if the connection ended before any byte of an answer."""
        if self.answered or not self.connected:
            return False
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return isinstance(error.message, str)  # otherwise the head of an answer
        return isinstance(error, OSError)


_TRY: ContextVar[_Try] = ContextVar("_TRY")


class _Pool(aiohttp.TCPConnector):
    """Tells the try under way when it has its connection. Tracing does too, but costs a fifth of a call."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(self, *request: Any, **settings: Any) -> Connection:
        connection = await super().connect(*request, **settings)
        if (protocol := connection.protocol) is not None:
            _TRY.get().has_connection(reused=protocol in self._used)
            self._used.add(protocol)
        return connection


class _Unusable(Exception):
    """An answer that came whole and is still none."""


class HttpClient:
    """Posts over pooled connections. `post` never raises for what the network or the server does."""

    def __init__(
        self,
        pooled: aiohttp.ClientSession,
        fresh: aiohttp.ClientSession,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._pooled = pooled
        self._fresh = fresh
        self._limits = limits
        self._tls = tls

    async def post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> Exchange:
        """One call; redirects are not followed."""
        ending = await self._send(self._pooled, url, body, headers)
        if isinstance(ending, _Cut) and ending.reused:
            ending = await self._send(self._fresh, url, body, headers)
        return await self._explained(ending, url) if isinstance(ending, _Cut) else ending

    async def _explained(self, cut: _Cut, url: URL) -> Exchange:
        """With TLS 1.3 a client learns only after the handshake that its certificate was refused.

        A server that refuses resets what it does not read, so the reason is lost; a connection on which
        nothing is sent brings it.
        """
        if url.scheme == "https":
            try:
                async with asyncio.timeout(self._limits.timeout):
                    await knock(url.host or "", url.port or 443, self._tls or True)
            except ssl.SSLError as error:
                return Unreached(f"{url.host}:{url.port} ends the TLS handshake: {error}")
            except (OSError, TimeoutError):
                pass  # it was there before, so what ended the call may be what the call did
        return Broken(cut.why)

    async def _send(
        self, session: aiohttp.ClientSession, url: URL, event: bytes, headers: Mapping[str, str]
    ) -> Exchange | _Cut:
        attempt = _Try(self._limits.timeout)
        outer = _TRY.set(attempt)
        try:
            async with attempt.clock:
                data = event if len(event) <= _IN_ONE_PIECE else BytesIO(event)
                response = await session.post(url, data=data, headers=headers, allow_redirects=False)
                attempt.answered = True
                body = await _body(response, self._limits.body)
                return Answered(response.status, response.headers, body)
        except TimeoutError:
            return Lapsed() if attempt.connected else Unreached("no connection in time")
        except Exception as error:  # noqa: BLE001 - whatever a server can provoke is an ending of the call
            return _ended(attempt, error)
        finally:
            _TRY.reset(outer)


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    chunks: list[bytes] = []
    room = most
    try:
        while chunk := await response.content.readany():
            chunks.append(chunk)
            room -= len(chunk)
            if room < 0:
                raise _too_large(most)
    finally:
        response.close()  # a fully read one has gone back to the pool already
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    encoding = response.headers.get("Content-Encoding")
    return body if encoding is None else _unpacked(body, encoding.strip().lower(), most)


def _unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """Compressed answers are not asked for, but come. Never unpacks more than `most` bytes."""
    if encoding == "identity":
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise _Unusable(f"content encoding {encoding[:40]!r} was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its first bytes say
    plain = unpacker.decompress(body, most + 1)
    if len(plain) > most:
        raise _too_large(most)
    if not unpacker.eof or unpacker.unused_data:
        raise _Unusable(f"the {encoding} answer is cut off or has something behind it")
    return plain


def _too_large(most: int) -> _Unusable:
    return _Unusable(f"the answer is larger than {most} bytes")


def _ended(attempt: _Try, error: Exception) -> Exchange | _Cut:
    if not attempt.connected:
        return Unreached(_text(error))
    if attempt.was_cut(error):
        return _Cut(_text(error), attempt.reused)
    return Broken(_text(error))


def _text(error: Exception) -> str:
    """What went wrong, without the URL, whose query may hold a secret."""
    why = f"{type(error).__name__}: {error}"
    match error:
        case aiohttp.ServerDisconnectedError():
            why = "the connection was closed before the answer"
        case aiohttp.ClientConnectorCertificateError():
            why = f"certificate of {error.host}:{error.port} refused: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            why = f"cannot connect to {error.host}:{error.port}: {error.os_error}"
        case aiohttp.ClientResponseError():
            why = f"malformed answer: {error.message}"
        case aiohttp.ClientPayloadError():
            why = f"the answer broke off: {error}"
        case _Unusable():
            why = str(error)
    return why


@asynccontextmanager
async def open_client(
    limits: Limits, headers: Mapping[str, str], tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpClient]:
    """A client whose connections are closed at the end. `headers` go with every call.

    Cookies are not kept, proxies of the environment are not used: a call depends on the configuration alone.
    """

    def session(**reuse: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_Pool(limit=limits.connections, ssl=tls or True, **reuse),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(
                connect=limits.timeout,
                sock_connect=min(limits.timeout, _LONGEST_HANDSHAKE),
                ceil_threshold=float("inf"),
            ),
        )

    async with session() as pooled, session(force_close=True) as fresh:
        yield HttpClient(pooled, fresh, limits, tls)
