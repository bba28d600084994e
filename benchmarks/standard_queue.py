"""One standard queue: messages that are ready, messages that are in flight, and what has happened to them.

No I/O and no clock: `now` is handed in, in seconds of a clock that never goes back, and `wall_ms` for what
the message shows. What never changes is rendered once, when it is sent, so that a receive is a join.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import OrderedDict
from dataclasses import dataclass, field

import orjson


class SqsError(Exception):
    """An error of the service; `code` is its name in the AWS JSON protocol."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Message:
    id: str
    md5: str
    fixed: bytes  # the members of the answer that are the same at every receive
    size: int
    sent_ms: int
    receives: int = 0
    first_received_ms: int = 0
    visible_at: float = 0.0

    @property
    def handle(self) -> str:
        return f"{self.id}#{self.receives}"


@dataclass(slots=True)
class Totals:
    sent: int = 0
    received: int = 0
    redelivered: int = 0
    deleted: int = 0
    stale: int = 0  # deletes and extensions with the handle of an earlier receive


@dataclass(slots=True)
class StandardQueue:
    name: str
    visibility: float
    retention: int = 345_600
    totals: Totals = field(default_factory=Totals)
    in_flight_bytes: int = 0
    _messages: dict[str, Message] = field(default_factory=dict)
    _ready: OrderedDict[str, Message] = field(default_factory=OrderedDict)
    _timers: list[tuple[float, str]] = field(default_factory=list)

    def visible(self, now: float) -> int:
        self._reappear(now)
        return len(self._ready)

    def in_flight(self, now: float) -> int:
        return len(self._messages) - self.visible(now)

    def next_visible_at(self) -> float | None:
        """When a message in flight may come back, or None while none is. May be early, never late."""
        return self._timers[0][0] if self._timers else None

    def send(self, message_id: str, body: str, wall_ms: int) -> Message:
        raw = body.encode()
        md5 = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        fixed = b'"MessageId":"%b","MD5OfBody":"%b","Body":%b' % (
            message_id.encode(),
            md5.encode(),
            orjson.dumps(body),
        )
        message = Message(message_id, md5, fixed, len(raw), wall_ms)
        self._messages[message_id] = self._ready[message_id] = message
        self.totals.sent += 1
        return message

    def take(self, limit: int, visibility: float, now: float, wall_ms: int) -> list[Message]:
        self._reappear(now)
        taken: list[Message] = []
        while self._ready and len(taken) < limit:
            message = self._ready.popitem(last=False)[1]
            message.receives += 1
            message.first_received_ms = message.first_received_ms or wall_ms
            self._hide(message, now + visibility)
            self.in_flight_bytes += message.size
            self.totals.redelivered += message.receives > 1
            taken.append(message)
        self.totals.received += len(taken)
        return taken

    def delete(self, handle: str) -> None:
        """Deleting what is gone succeeds; the handle of an older receive is accepted and deletes nothing."""
        message = self._holder(handle)
        if message is None:
            return
        if self._ready.pop(message.id, None) is None:
            self.in_flight_bytes -= message.size
        del self._messages[message.id]
        self.totals.deleted += 1

    def change_visibility(self, handle: str, seconds: float, now: float) -> None:
        """Raises SqsError unless the handle is that of a message's newest receive, still in flight."""
        self._reappear(now)
        message = self._holder(handle)
        if message is None or message.id in self._ready:
            raise SqsError("MessageNotInflight", "The message referred to isn't in flight.")
        self._hide(message, now + seconds)

    def _holder(self, handle: str) -> Message | None:
        message_id, mark, receive = handle.partition("#")
        if not mark or not receive.isdigit():
            raise SqsError("ReceiptHandleIsInvalid", f"The input receipt handle {handle!r} is invalid.")
        message = self._messages.get(message_id)
        if message is not None and message.receives != int(receive):
            self.totals.stale += 1
            return None
        return message

    def _hide(self, message: Message, until: float) -> None:
        message.visible_at = until
        heapq.heappush(self._timers, (until, message.id))

    def _reappear(self, now: float) -> None:
        # An extension leaves the earlier timer in the heap: only the one that agrees with the message counts.
        while self._timers and self._timers[0][0] <= now:
            at, message_id = heapq.heappop(self._timers)
            message = self._messages.get(message_id)
            if message is not None and message.visible_at == at and message_id not in self._ready:
                self._ready[message_id] = message
                self.in_flight_bytes -= message.size
