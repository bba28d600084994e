"""Messages that are handed to a topic, and known to be with all of its in-sync replicas.

The client library queues a message and tells later what became of it, to a thread that asks. Each producer has
one, and its last reference ends there too: to end a producer may block. After a failure the next messages get a
new producer, with credentials, and a view of the topic, of its own.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from msgspec import Struct

from esm.clients.kafka.errors import is_lasting, problem_of, reason_of, translated
from esm.errors import Disconnected

Reach = Callable[[], Awaitable[Mapping[str, Any]]]
"""The settings of a client, found out anew. Raises `Disconnected`."""

OF_PRODUCERS = frozenset(
    {
        "acks",
        "delivery.timeout.ms",
        "enable.idempotence",
        "message.max.bytes",
        "message.timeout.ms",
        "partitioner",
        "request.required.acks",
    }
)
"""What the engine depends on, or has an option of its own for."""

TOO_LARGE = "MSG_SIZE_TOO_LARGE"
"""The code of a message that the topic does not take."""

_TURN = 0.1
_SLOW = "the brokers are slow, or fewer replicas are in sync than min.insync.replicas wants"
"""Which of them the client does not tell: it tries again until the time is over."""

_VAGUE = {
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001 -- librdkafka's own errors have names that begin so
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
}


class Outgoing(Struct, frozen=True):
    """What is written; without a key, to any partition."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Producing:
    """Writes to one topic; `timeout` in seconds, `max_bytes` of one message."""

    def __init__(self, reach: Reach, topic: str, *, timeout: float, max_bytes: int) -> None:
        self._reach = reach
        self._topic = topic
        self._settings = {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "message.timeout.ms": round(1000 * timeout),
            "message.max.bytes": max_bytes,
            "partitioner": "murmur2_random",  # as clients in Java do: a key stays with its partition
        }
        self._making = asyncio.Lock()
        self._current: _Line | None = None
        self._lines: set[_Line] = set()

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Returns when all in-sync replicas have all of them. Raises `Disconnected` if one was not taken."""
        line = await self._line()
        try:
            await line.send(self._topic, messages)
        except Disconnected:
            self._retire(line)
            raise

    async def close(self) -> None:
        """What is under way is given up."""
        for line in self._lines:
            line.abandon()
        for line in self._lines:
            await asyncio.to_thread(line.join)

    async def _line(self) -> "_Line":
        async with self._making:
            if self._current is None:
                self._current = await self._opened()
            return self._current

    async def _opened(self) -> "_Line":
        """One that nobody waits for any more ends by itself."""
        line = _Line({**await self._reach(), **self._settings}, asyncio.get_running_loop())
        self._lines = {one for one in self._lines if one.is_alive} | {line}
        try:
            with translated():
                await asyncio.to_thread(line.open)
        except BaseException:
            line.retire()
            raise
        return line

    def _retire(self, line: "_Line") -> None:
        """It ends when nothing of it is under way any more."""
        line.retire()
        if self._current is line:
            self._current = None


class _Line:
    """A producer, and the thread that hears what became of its messages."""

    def __init__(self, settings: Mapping[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._wrong: KafkaError | None = None
        self._retired = self._abandoned = False
        self._producer: Producer
        self._thread = threading.Thread(target=self._hear, name="kafka-producer", daemon=True)

    async def send(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Raises `Disconnected`."""
        reports = [self._queue(topic, message) for message in messages]
        for error in await asyncio.gather(*reports):
            if error is not None:
                raise self._problem(error)
        self._wrong = None

    def open(self) -> None:
        """Blocks. Raises `KafkaException` for settings that no client can be made of."""
        self._producer = Producer({**self._settings, "error_cb": self._on_error})
        self._thread.start()

    def retire(self) -> None:
        """Nothing more will be sent."""
        self._retired = True

    def abandon(self) -> None:
        """Nothing is waited for any more."""
        self._retired = self._abandoned = True

    def join(self) -> None:
        """Blocks until it has ended, if it ever began."""
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _queue(self, topic: str, message: Outgoing) -> "asyncio.Future[KafkaError | None]":
        """What will be said of it, as a value: nobody may be there any more to hear it."""
        report: asyncio.Future[KafkaError | None] = self._loop.create_future()

        def delivered(error: KafkaError | None, _: object) -> None:
            self._loop.call_soon_threadsafe(_resolve, report, error)

        try:
            self._producer.produce(
                topic, message.value, message.key, headers=list(message.headers), on_delivery=delivered
            )
        except KafkaException as raised:
            raise problem_of(raised.args[0]) from None
        except BufferError:
            raise Disconnected("QueueFull", "too much waits for the brokers already") from None
        return report

    def _hear(self) -> None:
        producer = self._producer
        while not (self._retired and not len(producer)):
            if self._abandoned:
                producer.purge()
            self._poll(producer)
        del self._producer  # this is the last but one reference, so it ends here, in the thread

    def _poll(self, producer: Producer) -> None:
        """A fatal error is raised, once; what is under way is reported all the same."""
        try:
            producer.poll(_TURN)
        except KafkaException as raised:
            self._on_error(raised.args[0])
            producer.purge()

    def _on_error(self, error: KafkaError) -> None:
        """In the thread. That all brokers are down says less than what was heard of one of them."""
        if self._wrong is None or error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._wrong = error
        if is_lasting(error):
            self._producer.purge()

    def _problem(self, error: KafkaError) -> Disconnected:
        if error.code() in _VAGUE and self._wrong is not None:
            return problem_of(self._wrong)
        if error.code() in _VAGUE:
            return Disconnected("unreachable", f"{reason_of(error)}: {_SLOW}")
        return problem_of(error)


def _resolve(report: "asyncio.Future[KafkaError | None]", error: KafkaError | None) -> None:
    if not report.done():
        report.set_result(error)


@asynccontextmanager
async def open_producing(reach: Reach, topic: str, *, timeout: float, max_bytes: int) -> AsyncIterator[Producing]:
    """Nothing is asked before something is sent."""
    producing = Producing(reach, topic, timeout=timeout, max_bytes=max_bytes)
    try:
        yield producing
    finally:
        await producing.close()
