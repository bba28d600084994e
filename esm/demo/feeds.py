"""What drives the function: a queue with its dead letters, or a stream with an on-failure destination.

A feed takes messages, and says afterwards where they ended; the function's journal it is given.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from esm.demo.account import Account, Found, behind_poison, drawn_up
from esm.demo.journal import Entry
from esm.demo.notices import Place, given_up
from esm.demo.sqs import Queue, Sqs
from esm.demo.workload import Message


class Feed(Protocol):
    """One source of the demonstration."""

    async def send(self, messages: Sequence[Message]) -> None:
        """In the order given."""

    async def left(self, undone: Collection[str]) -> int:
        """How many are neither worked off nor dead-lettered; `undone`: ids that the journal has not as done."""

    async def dead(self) -> int:
        """How many messages the dead letters hold."""

    async def account(self, sent: Sequence[Message], journal: Sequence[Entry]) -> Account:
        """Takes out all that is left, and draws up the account."""


class QueueFeed(Struct, frozen=True):
    """A queue of SQS."""

    sqs: Sqs
    queue: Queue

    async def send(self, messages: Sequence[Message]) -> None:
        """See `Feed`."""
        await self.sqs.send(self.queue, messages)

    async def left(self, _undone: Collection[str]) -> int:
        """As the queue says."""
        return await self.sqs.left(self.queue.url)

    async def dead(self) -> int:
        """As the queue of the dead letters says."""
        return await self.sqs.left(self.queue.dead_url)

    async def account(self, sent: Sequence[Message], journal: Sequence[Entry]) -> Account:
        """What still is in the queue waits."""
        waiting = [message["id"] for message in await self.sqs.drained(self.queue.url)]
        dead = [message["id"] for message in await self.sqs.drained(self.queue.dead_url)]
        return drawn_up(self.queue.name, sent, journal, Found(dead, waiting, behind_poison(sent)))


class Log(Protocol):
    """A stream, whose records stay where they are when they have been worked off."""

    async def send(self, messages: Sequence[Message]) -> None:
        """In the order given."""

    async def places(self) -> Mapping[Place, str]:
        """The ids of its messages, by where their records stand."""


class LogFeed(Struct, frozen=True):
    """A stream. `failed_url`: the queue that is its on-failure destination, with a notice for each record."""

    name: str
    log: Log
    sqs: Sqs
    failed_url: str

    async def send(self, messages: Sequence[Message]) -> None:
        """See `Feed`."""
        await self.log.send(messages)

    async def left(self, undone: Collection[str]) -> int:
        """A stream does not know what has been worked off."""
        return len(undone) - await self.dead()

    async def dead(self) -> int:
        """As the destination says."""
        return await self.sqs.left(self.failed_url)

    async def account(self, sent: Sequence[Message], journal: Sequence[Entry]) -> Account:
        """Nothing may wait: what neither the journal nor the destination has is lost."""
        dead = given_up(await self.sqs.drained(self.failed_url), await self.log.places())
        return drawn_up(self.name, sent, journal, Found(dead))
