"""A queue that lives in memory on the engine's clock, and a source that reads it, with faults on demand.

`FakeQueue` is the server: visibility, receive counts, redrive, groups that block while one of their messages is
out. `FakeSource` is the adapter the engine drives. What goes wrong between the two is decided by
`esm.testing.faults`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from esm.errors import Disconnected, OverLimit
from esm.model import Backlog, Lane, Page, Record, Settlement, Terms
from esm.testing.faults import Faults


@dataclass(slots=True)
class Message:
    """One message as the server keeps it; `receipt` is that of its last receive."""

    id: str
    group: str | None
    sent: float
    visible_at: float = 0.0
    receives: int = 0

    @property
    def receipt(self) -> str:
        return f"{self.id}#{self.receives}"


class FakeQueue:
    """The server. `ordered` makes it FIFO; after `max_receives` a message moves to `dead`.

    `now` is the engine's monotonic clock; `epoch` is what its zero is in wall time.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        epoch: float = 0.0,
        ordered: bool = False,
        visibility: float = 30.0,
        retention: float = 345_600.0,
        max_receives: int | None = None,
    ) -> None:
        self.now = now
        self.epoch = epoch
        self.ordered = ordered
        self.terms = Terms(visibility, 43_200.0, retention)
        self.max_receives = max_receives
        self.messages: dict[str, Message] = {}
        self.deleted: list[str] = []
        self.dead: list[str] = []
        self.arrival = asyncio.Event()
        self._sent = 0

    def send(self, group: str | None = None) -> str:
        """Accepts one message; returns its id, which tells its number and group."""
        self._sent += 1
        id_ = f"m{self._sent:05d}" + (f"-{group}" if group else "")
        self.messages[id_] = Message(id_, group, self.now())
        self.arrival.set()
        return id_

    def receive(self, limit: int) -> list[Message]:
        """Up to `limit` visible messages, oldest first; they are hidden for the visibility timeout."""
        now = self.now()
        blocked = {m.group for m in self.messages.values() if self.ordered and m.visible_at > now}
        taken: list[Message] = []
        for message in list(self.messages.values()):
            if len(taken) == limit:
                break
            if message.visible_at > now or (self.ordered and message.group in blocked):
                continue
            if self.max_receives is not None and message.receives >= self.max_receives:
                self.dead.append(self.messages.pop(message.id).id)
                continue
            message.receives += 1
            message.visible_at = now + self.terms.visibility
            taken.append(message)
        return taken

    def delete(self, receipt: str) -> bool:
        """True if the receipt was good; a stale one deletes nothing."""
        message = self._known(receipt)
        if message is None:
            return False
        self.deleted.append(self.messages.pop(message.id).id)
        self.arrival.set()
        return True

    def change(self, receipt: str, seconds: float) -> bool:
        """Sets when a message that is out becomes visible, from now; False if it is not out by this receipt."""
        message = self._known(receipt)
        if message is None or message.visible_at <= self.now():
            return False
        message.visible_at = self.now() + seconds
        self.arrival.set()
        return True

    def next_visible(self) -> float | None:
        """Seconds until the next message that is out comes back."""
        waits = [m.visible_at - self.now() for m in self.messages.values() if m.visible_at > self.now()]
        return min(waits, default=None)

    def _known(self, receipt: str) -> Message | None:
        message = self.messages.get(receipt.partition("#")[0])
        return message if message and message.receipt == receipt else None


class FakeReader:
    """The adapter over a `FakeQueue`; every call takes a little virtual time."""

    def __init__(self, queue: FakeQueue, faults: Faults) -> None:
        self._queue = queue
        self._faults = faults
        self._seq = 0

    @property
    def ordered(self) -> bool:
        return self._queue.ordered

    @property
    def terms(self) -> Terms:
        return self._queue.terms

    async def read(self, limit: int, wait: float) -> Page:
        await self._latency()
        if self._faults.hit("over limit"):
            raise OverLimit("too many messages in flight")
        if self._faults.hit("read fails"):
            raise Disconnected("unreachable", "scripted")
        messages = await self._poll(limit, wait)
        await self._latency()
        if messages and self._faults.hit("answer lost"):
            raise Disconnected("unreachable", "the answer was lost on its way")
        return Page(tuple(self._record(message) for message in messages))

    async def settle(
        self,
        done: Sequence[Record],
        failed: Sequence[Record],  # noqa: ARG002 -- the port's signature
        untried: Sequence[Record],
    ) -> Settlement:
        await self._latency()
        undeleted = [
            record for record in done if self._faults.hit("delete fails") or not self._queue.delete(record.handle)
        ]
        for record in untried:
            if not self._faults.hit("give back fails"):
                self._queue.change(record.handle, 0.0)
        return Settlement(len(done) - len(undeleted), tuple(undeleted))

    async def extend(self, records: Sequence[Record], seconds: float) -> Collection[Record]:
        await self._latency()
        if self._faults.hit("extension fails"):
            raise Disconnected("unreachable", "scripted")
        return [record for record in records if not self._queue.change(record.handle, seconds)]

    async def backlog(self) -> Backlog:
        now = self._queue.now()
        visible = sum(message.visible_at <= now for message in self._queue.messages.values())
        return Backlog(visible, len(self._queue.messages) - visible)

    async def _poll(self, limit: int, wait: float) -> list[Message]:
        """A long poll: the first messages within `wait` seconds."""
        until = self._queue.now() + wait
        while not (messages := self._queue.receive(limit)) and (left := until - self._queue.now()) > 0:
            self._queue.arrival.clear()
            try:
                async with asyncio.timeout(min(left, self._queue.next_visible() or left)):
                    await self._queue.arrival.wait()
            except TimeoutError:
                continue
        if messages and self._faults.hit("duplicate"):
            messages += self._delivered_twice()
        return messages

    def _delivered_twice(self) -> list[Message]:
        """A standard queue may hand out again what is already out: under a new receipt."""
        out = [m for m in self._queue.messages.values() if m.visible_at > self._queue.now()]
        if not out or self.ordered:
            return []
        message = self._faults.chance.choice(out)
        message.receives += 1
        message.visible_at = self._queue.now() + self.terms.visibility
        return [message]

    def _record(self, message: Message) -> Record:
        self._seq += 1
        return Record(
            seq=self._seq,
            id=message.id,
            key=message.group,
            arrived=self._queue.epoch + message.sent,
            read=self._queue.now(),
            event=b'"%b"' % message.id.encode(),
            handle=message.receipt,
        )

    async def _latency(self) -> None:
        await asyncio.sleep(self._faults.chance.uniform(0.001, 5.0 if self._faults.hit("slow call") else 0.02))


class FakeCodec:
    """A JSON list of ids: enough for a scripted target to know what it was given.

    To filters a message has a body with its number and the last digit of it.
    """

    frame = 2

    def render(self, records: Sequence[Record]) -> bytes:
        return b"[" + b",".join(record.event for record in records) + b"]"

    def view(self, record: Record) -> Mapping[str, Any]:
        number = int(record.id[1:6])
        return {"messageId": record.id, "body": f'{{"number": {number}, "digit": "{number % 10}"}}'}


class FakeSource:
    """One lane over one `FakeQueue`; opening can fail too."""

    codec = FakeCodec()

    def __init__(self, queue: FakeQueue, faults: Faults) -> None:
        self._queue = queue
        self._faults = faults

    async def lanes(self) -> AsyncIterator[Collection[Lane]]:
        yield [Lane("queue")]

    @asynccontextmanager
    async def open(self, lane: Lane) -> AsyncIterator[FakeReader]:  # noqa: ARG002 -- the port's signature
        if self._faults.hit("open fails"):
            raise Disconnected("NonExistentQueue", "scripted", lasting=True)
        yield FakeReader(self._queue, self._faults)
