"""Posts over pooled connections."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from yarl import URL

from esm.clients.http.dial import Dialer
from esm.clients.http.exchange import Broken, Cut, Exchange, Limits, Unreached
from esm.clients.http.origin import Origin, origin_of
from esm.clients.http.pool import Pool, pooling
from esm.clients.http.proxy import Proxy
from esm.clients.tls import knock


class HttpClient:
    """Made by `open_client`. `post` never raises for what the network or the server does."""

    def __init__(self, pool: Pool, limits: Limits, heads: "Heads", tls: ssl.SSLContext | None = None) -> None:
        self._pool = pool
        self._limits = limits
        self._heads = heads
        self._tls = tls

    async def post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> Exchange:
        """One call; redirects are not followed. Raises ValueError for a header that holds a line break."""
        origin = origin_of(url)
        head = self._heads.head(url, len(body), headers)
        ending = await self._send(origin, head, body)
        if isinstance(ending, Cut) and ending.reused and not self._pool.closed:
            self._pool.forget(origin)
            ending = await self._send(origin, head, body)
        return await self._explained(ending, origin) if isinstance(ending, Cut) else ending

    async def _send(self, origin: Origin, head: bytes, body: bytes) -> Exchange | Cut:
        try:
            connection = await self._pool.take(origin)
        except TimeoutError:
            return Unreached("no connection in time")
        except (OSError, ValueError) as error:  # the latter for what cannot be a name
            return Unreached(_why(error, origin), error)
        try:
            return await connection.exchange(head, body, self._limits.timeout)
        finally:
            self._pool.release(origin, connection)

    async def _explained(self, cut: Cut, origin: Origin) -> Exchange:
        """With TLS 1.3 a client learns only after the handshake that its certificate was refused.

        A server that refuses resets what it does not read, so the reason is lost; a connection on which
        nothing is sent brings it.
        """
        if origin.tls and not self._heads.proxy:
            try:
                async with asyncio.timeout(self._limits.timeout):
                    await knock(origin.host, origin.port, self._tls or True)
            except ssl.SSLError as error:
                return Unreached(f"{origin} ends the TLS handshake: {error}", error)
            except (OSError, TimeoutError):
                pass  # it was there before, so what ended the call may be what the call did
        return Broken(cut.why)


class Heads:
    """Writes the heads of requests. `headers` go with every call, the last one of a name in any case."""

    def __init__(self, headers: Mapping[str, str], proxy: Proxy | None) -> None:
        self.proxy = proxy
        chosen = {name.lower(): (name, value) for name, value in headers.items()}
        self._host = chosen.pop("host", ("", ""))[1]
        self._constant = _lines(dict(chosen.values()))
        self._starts: dict[URL, str] = {}

    def head(self, url: URL, length: int, headers: Mapping[str, str]) -> bytes:
        """Raises ValueError for a header that holds a line break."""
        start = self._starts.get(url)
        if start is None:
            start = self._start(url)
        return f"{start}{_lines(headers)}Content-Length: {length}\r\n\r\n".encode()

    def _start(self, url: URL) -> str:
        """What is the same for all calls of a URL; redirects may lead to any number of them."""
        if len(self._starts) >= _MOST_STARTS:
            self._starts.clear()
        host = self._host or url.host_port_subcomponent or ""
        by_proxy = self.proxy is not None and url.scheme == "http"
        place = f"http://{host}{url.raw_path_qs}" if by_proxy else url.raw_path_qs
        proof = self.proxy.header if self.proxy is not None and by_proxy else ""
        self._starts[url] = f"POST {place} HTTP/1.1\r\nHost: {host}\r\n{proof}{self._constant}"
        return self._starts[url]


_MOST_STARTS = 256


def _lines(headers: Mapping[str, str]) -> str:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") + lines.count("\r") != 2 * len(headers):
        raise ValueError("a header holds a line break")
    return lines


def _why(error: Exception, origin: Origin) -> str:
    """Without the URL, whose query may hold a secret."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate of {origin} refused: {error}"
    return f"cannot connect to {origin}: {error}"


@asynccontextmanager
async def open_client(
    limits: Limits,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
) -> AsyncIterator[HttpClient]:
    """A client whose connections are closed at the end. `headers` go with every call.

    Cookies are not kept, proxies of the environment are not used: a call depends on the configuration alone.
    """
    heads = Heads(headers, proxy)
    async with pooling(Dialer(limits.body, tls, proxy), limits) as pool:
        yield HttpClient(pool, limits, heads, tls)
