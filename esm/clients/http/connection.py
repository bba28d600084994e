"""One connection: sends a request, waits for its answer, and is good for another or closed."""

import asyncio
from collections.abc import Callable
from typing import cast

from esm.clients.http.answers import AnswerReader, Unusable
from esm.clients.http.exchange import Answered, Broken, Cut, Lapsed

Ending = Answered | Lapsed | Broken | Cut

_IN_ONE_PIECE = 2**16


class Connection(asyncio.Protocol):
    """`most`: bytes of an answer. `on_gone` is called once, when it has ended.

    One call at a time: whoever has taken it from the pool calls `exchange`, and looks at `reusable` afterwards.
    """

    def __init__(self, most: int, on_gone: Callable[["Connection"], None]) -> None:
        self.reusable = False
        self.idle_since = 0.0
        self._reader = AnswerReader(most)
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._ending: asyncio.Future[Ending] | None = None
        self._begun = False
        self._used = False

    async def exchange(self, head: bytes, body: bytes, timeout: float) -> Ending:
        """Sends a request. Cancelling it closes the connection, and so does every ending but a good one."""
        loop = asyncio.get_running_loop()
        ending: asyncio.Future[Ending] = loop.create_future()
        self._ending = ending
        self._begun = self.reusable = False
        self._reader.expect()
        clock = loop.call_later(timeout, self._end, Lapsed())
        try:
            self._send(head, body)
            return await ending
        finally:
            clock.cancel()
            self._ending = None
            self._used = True
            if not self.reusable:
                self.abort()

    @property
    def open(self) -> bool:
        """Neither side has ended it, as far as we know."""
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """Ends it at once."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, head: bytes, body: bytes) -> None:
        if self._transport is None:
            self._end(self._cut(None))
        elif len(body) <= _IN_ONE_PIECE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def _end(self, ending: Ending) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(ending)

    def _cut(self, error: Exception | None) -> Cut | Broken:
        how = f": {type(error).__name__}: {error}" if error else ""
        if self._begun:
            return Broken(f"the answer broke off{how}")
        return Cut(f"the connection was closed before the answer{how}", self._used)

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Whatever comes while nothing was asked could be taken for the next answer, so it ends the connection."""
        if self._ending is None:
            self.reusable = False
            self.abort()
            return
        self._begun = True
        try:
            answer = self._reader.feed(data)
        except Unusable as error:
            self._end(Broken(str(error)))
        else:
            if answer is not None:
                self._answered(answer)

    def _answered(self, answer: Answered) -> None:
        """An answer may come before the request was read; the rest of that must not wait in front of another."""
        unsent = self._transport is None or self._transport.get_write_buffer_size()
        self.reusable = self._reader.kept and self.open and not unsent
        self._end(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._transport = None
        if self._ending is not None and not self._ending.done():
            self._end(self._last(exc))
        self._on_gone(self)

    def _last(self, error: Exception | None) -> Ending:
        """An answer without a length ends with its connection, if that was closed and did not break."""
        if not self._begun or error is not None:
            return self._cut(error)
        try:
            return self._reader.end()
        except Unusable as problem:
            return Broken(str(problem))
