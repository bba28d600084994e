"""An opened queue: receives messages, and settles or keeps what was received."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from esm.clients.aws import LONGEST_WAIT
from esm.clients.aws_errors import UNREACHABLE, translated
from esm.errors import Disconnected
from esm.model import Backlog, Page, Record, Rejected, Settlement, Terms
from esm.sources.sqs.attempts import Attempts
from esm.sources.sqs.deletes import Deletes
from esm.sources.sqs.event import LARGEST_FRAGMENT, Fragments
from esm.sources.sqs.queue import PAGE, Queue, attributes_of, backlog_of, terms_of
from esm.sources.sqs.visibility import Visibility
from esm.sources.sqs.world import World


class SqsReader:
    """A `QueueReader` that is also `Measured`."""

    def __init__(
        self, sqs: Any, queue: Queue, terms: Terms, *, deletes: Deletes, fragments: Fragments, world: World
    ) -> None:
        self.ordered = queue.fifo
        self.terms = terms
        self._sqs = sqs
        self._queue = queue
        self._deletes = deletes
        self._fragments = fragments
        self._visibility = Visibility(sqs, queue.url, world)
        self._attempts = Attempts(world)
        self._world = world
        self._next_seq = 0

    async def read(self, limit: int, wait: float) -> Page:
        """One ReceiveMessage; `limit` above 10 asks for 10, `wait` is rounded down to whole seconds."""
        limit = min(limit, PAGE)
        if not self.ordered:
            return await self._receive(limit, wait, {})
        attempt = self._attempts.next(limit)
        try:
            return await self._receive(attempt.limit, wait, {"ReceiveRequestAttemptId": attempt.id})
        except Disconnected as problem:
            if problem.code == UNREACHABLE:
                self._attempts.unanswered(attempt)
            raise

    async def settle(
        self,
        done: Sequence[Record],
        failed: Sequence[Record],  # noqa: ARG002 -- left alone, so that its timeout stays as it was
        untried: Sequence[Record],
    ) -> Settlement:
        """Deletes travel together with those of other settles, and go on when this one is cancelled."""
        order = self._deletes.place(done)
        if untried:
            await self._give_back(untried)
        return await order.settlement()

    async def extend(self, records: Sequence[Record], seconds: float) -> Collection[Record]:
        """Ours no longer: deleted, visible again, received by another, or held for 12 hours."""
        return await self._visibility.change(records, seconds)

    async def backlog(self) -> Backlog:
        """One GetQueueAttributes, which refreshes the terms too."""
        attributes = await attributes_of(self._sqs, self._queue.url)
        self.terms = terms_of(attributes)
        return backlog_of(attributes)

    async def _receive(self, limit: int, wait: float, extra: Mapping[str, str]) -> Page:
        with translated("SQS"):
            answer = await self._sqs.receive_message(
                QueueUrl=self._queue.url,
                MaxNumberOfMessages=limit,
                WaitTimeSeconds=int(min(wait, LONGEST_WAIT)),
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
                **extra,
            )
            return self._page(answer.get("Messages") or ())

    async def _give_back(self, records: Sequence[Record]) -> None:
        try:
            await self._visibility.change(records, 0)
        except Disconnected:
            return  # best effort: the visibility timeout does it otherwise

    def _page(self, messages: Sequence[Mapping[str, Any]]) -> Page:
        now = self._world.monotonic()
        records = tuple(self._record(message, seq, now) for seq, message in enumerate(messages, self._next_seq))
        self._next_seq += len(records)
        oversized = [record for record in records if len(record.event) > LARGEST_FRAGMENT]
        if not oversized:
            return Page(records)
        fitting = tuple(record for record in records if len(record.event) <= LARGEST_FRAGMENT)
        return Page(fitting, tuple(Rejected(record, _too_large(record)) for record in oversized))

    def _record(self, message: Mapping[str, Any], seq: int, now: float) -> Record:
        attributes = message.get("Attributes") or {}
        sent = attributes.get("SentTimestamp")
        return Record(
            seq=seq,
            id=message["MessageId"],
            # On a standard queue a group only marks tenants for fairness; it orders nothing.
            key=attributes.get("MessageGroupId") if self.ordered else None,
            arrived=self._world.wall() if sent is None else int(sent) / 1000,
            read=now,
            event=self._fragments.encode(message),
            handle=message["ReceiptHandle"],
        )


def _too_large(record: Record) -> str:
    return f"the event of this message alone takes {len(record.event):,} bytes of {LARGEST_FRAGMENT:,}"
