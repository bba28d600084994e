"""A proxy that is asked to connect: with CONNECT for what goes through TLS, by the whole URL for the rest."""

import asyncio
import base64
import re
from typing import cast

from msgspec import Struct
from yarl import URL

from esm.clients.http.origin import Origin, origin_of

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_LONGEST_HEAD = 2**16


class Proxy(Struct, frozen=True):
    """`authorization`: value of Proxy-Authorization, empty for none."""

    origin: Origin
    authorization: str = ""

    @property
    def header(self) -> str:
        """A line of the head, with its end."""
        return f"Proxy-Authorization: {self.authorization}\r\n" if self.authorization else ""


def proxy_at(url: str) -> Proxy:
    """From `http://user:password@host:port`; the scheme says how the proxy itself is spoken to."""
    where = URL(url)
    if where.user is None and where.password is None:
        return Proxy(origin_of(where))
    proof = base64.b64encode(f"{where.user or ''}:{where.password or ''}".encode()).decode()
    return Proxy(origin_of(where), f"Basic {proof}")


class ProxyRefused(OSError):
    """The proxy answers, but does not connect."""


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a connection; what is behind it is not read."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._agreed: asyncio.Future[None] = self._loop.create_future()
        self._head = b""
        self.transport: asyncio.Transport | None = None

    async def through(self, proxy: Proxy, there: Origin) -> None:
        """Raises `ProxyRefused`, or OSError if the connection ends."""
        assert self.transport  # noqa: S101 - for the type checker
        head = f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n{proxy.header}\r\n"
        self.transport.write(head.encode())
        await self._agreed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Until the blank line; a server behind the proxy says nothing before it is asked."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0 and len(self._head) < _LONGEST_HEAD:
            return
        status = _STATUS.match(self._head)
        if status is None or end < 0 or (status[1].startswith(b"2") and len(self._head) > end + 4):
            self._refuse("its answer is malformed")
        elif status[1].startswith(b"2"):
            self._end(None)
        else:
            self._refuse(f"it answers {int(status[1])}")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._refuse("it closed the connection")

    def _refuse(self, why: str) -> None:
        self._end(ProxyRefused(f"the proxy does not connect: {why}"))

    def _end(self, problem: ProxyRefused | None) -> None:
        if self._agreed.done():
            return
        if problem is None:
            self._agreed.set_result(None)
        else:
            self._agreed.set_exception(problem)
