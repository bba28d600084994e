"""Makes connections: every address of a name is tried, each a moment after the one before, and then TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import cache

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType

from esm.clients.http.connection import Connection
from esm.clients.http.origin import Origin
from esm.clients.http.proxy import Proxy, ProxyRefused, Tunnel

_NEXT_ADDRESS = 0.25


class Dialer:
    """`tls` replaces the system's authorities; `proxy` is asked instead of each origin; `most` bytes an answer."""

    def __init__(self, most: int, tls: ssl.SSLContext | None, proxy: Proxy | None) -> None:
        self._most = most
        self._tls = tls
        self._proxy = proxy

    async def dial(self, there: Origin, on_gone: Callable[[Connection], None]) -> Connection:
        """Raises OSError (names, connections, proxies, TLS)."""
        connection = Connection(self._most, on_gone)
        if self._proxy is None:
            await self._opened(there, connection)
        elif there.tls:
            await self._tunnelled(there, connection, self._proxy)
        else:
            await self._at_proxy(self._proxy, connection)
        return connection

    async def _tunnelled(self, there: Origin, connection: Connection, proxy: Proxy) -> None:
        tunnel = Tunnel()
        await self._at_proxy(proxy, tunnel)
        assert tunnel.transport  # noqa: S101 - opened
        try:
            await tunnel.through(proxy, there)
            transport = await asyncio.get_running_loop().start_tls(
                tunnel.transport, connection, self._context(), server_hostname=there.host
            )
        except BaseException:
            tunnel.transport.abort()
            raise
        if transport is None:
            raise ConnectionResetError("the connection was closed in the TLS handshake")
        connection.connection_made(transport)

    async def _at_proxy(self, proxy: Proxy, protocol: asyncio.Protocol) -> None:
        try:
            await self._opened(proxy.origin, protocol)
        except OSError as error:
            raise ProxyRefused(f"no connection to the proxy: {error}") from error

    async def _opened(self, origin: Origin, protocol: asyncio.Protocol) -> None:
        loop = asyncio.get_running_loop()
        tcp = await _connected(origin)
        try:
            if origin.tls:
                await loop.create_connection(
                    lambda: protocol, sock=tcp, ssl=self._context(), server_hostname=origin.host
                )
            else:
                await loop.create_connection(lambda: protocol, sock=tcp)
        except BaseException:
            tcp.close()
            raise

    def _context(self) -> ssl.SSLContext:
        return self._tls or _usual_tls()


async def _connected(origin: Origin) -> socket.socket:
    tcp = await aiohappyeyeballs.start_connection(
        await _addresses(origin), happy_eyeballs_delay=_NEXT_ADDRESS, interleave=1
    )
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return tcp


async def _addresses(origin: Origin) -> Sequence[AddrInfoType]:
    """Only of the families that this machine has an address of."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


@cache
def _usual_tls() -> ssl.SSLContext:
    """Reading the system's authorities takes as long as hundreds of calls."""
    return ssl.create_default_context()
