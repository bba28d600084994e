"""An opened queue: receives messages, and settles or keeps what was received."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from esm.clients.aws import AwsClient
from esm.clients.aws_errors import UNREACHABLE, translated
from esm.errors import Disconnected
from esm.model import Backlog, Page, Record, Rejected, Settlement, Terms
from esm.sources.envelope import LARGEST_FRAGMENT, too_large
from esm.sources.sqs.attempts import Attempts
from esm.sources.sqs.deletes import Deletes
from esm.sources.sqs.event import Fragments
from esm.sources.sqs.queue import PAGE, SHORTEST_VISIBILITY, Queue, attributes_of, backlog_of, terms_of
from esm.sources.sqs.visibility import Visibility
from esm.world import World


class SqsReader:
    """A `QueueReader` that is also `Measured`."""

    def __init__(
        self, sqs: AwsClient, queue: Queue, terms: Terms, *, deletes: Deletes, fragments: Fragments, world: World
    ) -> None:
        self.ordered = queue.fifo
        self.terms = terms
        self._cold = sqs.cold
        self._call = sqs.hot.call
        self._queue = queue
        self._deletes = deletes
        self._fragments = fragments
        self._visibility = Visibility(self._call, queue.url, world)
        self._attempts = Attempts(world)
        self._world = world
        self._next_seq = 0

    async def read(self, limit: int, wait: float) -> Page:
        """One ReceiveMessage; `limit` above 10 asks for 10.

        `wait` is rounded down to whole seconds, and is no longer than `wait_time_seconds` says.
        """
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
        attributes = await attributes_of(self._cold, self._queue.url, self._queue.arn)
        with translated("SQS"):
            terms, backlog = terms_of(attributes), backlog_of(attributes)
        self.terms = terms
        return backlog

    async def _receive(self, limit: int, wait: float, extra: Mapping[str, Any]) -> Page:
        arguments = {
            "QueueUrl": self._queue.url,
            "MaxNumberOfMessages": limit,
            "WaitTimeSeconds": int(min(wait, self._queue.wait)),
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
            **extra,
        }
        if self.terms.visibility <= SHORTEST_VISIBILITY:
            arguments["VisibilityTimeout"] = int(SHORTEST_VISIBILITY)
        with translated("SQS", self._queue.arn):
            answer = await self._call("ReceiveMessage", arguments)
            return self._page(answer.get("Messages") or ())

    async def _give_back(self, records: Sequence[Record]) -> None:
        try:
            await self._visibility.change(records, 0)
        except Disconnected:
            return  # best effort: the visibility timeout does it otherwise

    def _page(self, messages: Sequence[Mapping[str, Any]]) -> Page:
        now = self._world.monotonic()
        records: list[Record] = []
        rejected: list[Rejected] = []
        for message in messages:
            record = self._readable(message, now)
            if isinstance(record, Rejected):
                rejected.append(record)
            elif len(record.event) > LARGEST_FRAGMENT:
                rejected.append(Rejected(record, too_large(record.event)))
            else:
                records.append(record)
            self._next_seq += 1
        return Page(tuple(records), tuple(rejected))

    def _readable(self, message: Any, now: float) -> Record | Rejected:
        """One message that is none must not cost the others of its page."""
        try:
            return self._record(message, self._next_seq, now)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            nobody = Record(self._next_seq, "?", None, self._world.wall(), now, b"", None)
            return Rejected(nobody, f"SQS returned something that is no message ({type(error).__name__})")

    def _record(self, message: Mapping[str, Any], seq: int, now: float) -> Record:
        attributes = message.get("Attributes") or {}
        sent = attributes.get("SentTimestamp")
        return Record(
            seq=seq,
            id=_text(message["MessageId"]),
            # On a standard queue a group only marks tenants for fairness; it orders nothing.
            key=_text(attributes["MessageGroupId"]) if self.ordered and "MessageGroupId" in attributes else None,
            arrived=self._world.wall() if sent is None else int(sent) / 1000,
            read=now,
            event=self._fragments.encode(message),
            handle=_text(message["ReceiptHandle"]),
        )


def _text(value: Any) -> str:
    """Raises TypeError or ValueError for what cannot be sent on as text."""
    if not isinstance(value, str):
        raise TypeError("no text")
    value.encode()
    return value
