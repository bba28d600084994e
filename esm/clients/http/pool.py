"""Keeps connections open between calls, and lets only so many calls be under way."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from esm.clients.http.connection import Connection
from esm.clients.http.dial import Dialer
from esm.clients.http.exchange import Limits
from esm.clients.http.origin import Origin

_LONGEST_IDLE = 15.0


class Pool:
    """Made by `pooling`. Connections that end leave it by themselves."""

    def __init__(self, dialer: Dialer, limits: Limits) -> None:
        self._dialer = dialer
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.connections or sys.maxsize)
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._empty = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None
        self.closed = False

    async def take(self, origin: Origin) -> Connection:
        """A kept connection or a new one. Raises OSError, TimeoutError if there is none in time."""
        if self._idle.get(origin) and not self._slots.locked():
            await self._slots.acquire()  # which is at once
            return self._idle[origin].pop()
        async with asyncio.timeout(self._limits.timeout):
            await self._slots.acquire()
            try:
                return self._idle[origin].pop() if self._idle.get(origin) else await self._dial(origin)
            except BaseException:
                self._slots.release()
                raise

    def release(self, origin: Origin, connection: Connection) -> None:
        """Every connection that was taken comes back when its call has ended."""
        self._slots.release()
        if connection.reusable and not self.closed:
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            self._idle.setdefault(origin, []).append(connection)
            if self._sweep is None:
                self._sweep = loop.call_later(_LONGEST_IDLE, self._end_idle)

    def forget(self, origin: Origin) -> None:
        """Ends what is kept for it: when the server has closed one of them, the others will fail too."""
        for connection in self._idle.pop(origin, ()):
            connection.abort()

    async def _dial(self, origin: Origin) -> Connection:
        async with asyncio.timeout(self._limits.connect):
            connection = await self._dialer.dial(origin, self._gone)
        if self.closed:
            connection.abort()
            raise ConnectionAbortedError("the client is closed")
        if not connection.open:
            raise ConnectionResetError("the connection was closed at once")
        self._open.add(connection)
        return connection

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        for idle in self._idle.values():
            if connection in idle:
                idle.remove(connection)
        if not self._open:
            self._empty.set()

    def _end_idle(self) -> None:
        """Servers and what is between forget quiet connections, and not all of them say so."""
        loop = asyncio.get_running_loop()
        for idle in self._idle.values():
            while idle and idle[0].idle_since + _LONGEST_IDLE <= loop.time():
                idle.pop(0).abort()
        more = any(self._idle.values())
        self._sweep = loop.call_later(_LONGEST_IDLE, self._end_idle) if more else None

    async def close(self) -> None:
        """Ends all, and returns when they have ended; there is no new one from here on."""
        self.closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open):
            connection.abort()
        while self._open:
            self._empty.clear()
            await self._empty.wait()


@asynccontextmanager
async def pooling(dialer: Dialer, limits: Limits) -> AsyncIterator[Pool]:
    """No connection outlives the context."""
    pool = Pool(dialer, limits)
    try:
        yield pool
    finally:
        await pool.close()
