"""A configured queue: opened for reading, or looked at without reading."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from esm.clients.aws import AwsClient, AwsOptions, Lease
from esm.clients.aws_errors import translated
from esm.errors import Disconnected
from esm.model import Finding, Lane
from esm.sources.sqs.deletes import deleting
from esm.sources.sqs.event import Fragments, SqsCodec
from esm.sources.sqs.options import SqsOptions
from esm.sources.sqs.queue import QueueFacts, facts_of, find, terms_of
from esm.sources.sqs.reader import SqsReader
from esm.sources.sqs.world import World


class SqsSource:
    """A `QueueSource` that is also `Checkable`. `window` is the mapping's batching window in seconds."""

    codec = SqsCodec()

    def __init__(self, options: SqsOptions, aws: AwsOptions, lease: Lease, *, window: float, world: World) -> None:
        self._options = options
        self._aws = aws
        self._lease = lease
        self._window = window
        self._world = world

    async def lanes(self) -> AsyncIterator[Collection[Lane]]:
        """A queue is one lane, for ever."""
        yield (Lane(self._options.name),)

    @asynccontextmanager
    async def open(self, lane: Lane) -> AsyncIterator[SqsReader]:  # noqa: ARG002 -- there is only one
        """Leaving it waits for the deletes under way. Raises `Disconnected`."""
        async with self._client() as sqs:
            queue, attributes = await find(sqs.cold, self._options)
            with translated("SQS"):
                terms = terms_of(attributes)
            async with deleting(sqs.hot.call, queue.url, self._world) as deletes:
                fragments = Fragments(queue.arn, self._window)
                yield SqsReader(sqs, queue, terms, deletes=deletes, fragments=fragments, world=self._world)

    async def check(self) -> Sequence[Finding]:
        """Whether the queue answers, and what of its own settings will hurt."""
        try:
            facts = await self.describe()
        except Disconnected as problem:
            return (Finding(broken=True, text=problem.reason),)
        return tuple(Finding(broken=False, text=text) for text in _remarks(facts))

    async def describe(self) -> QueueFacts:
        """What the queue says of itself. Raises `Disconnected`."""
        async with self._client() as sqs:
            queue, attributes = await find(sqs.cold, self._options)
            with translated("SQS"):
                return facts_of(queue, attributes)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AwsClient]:
        async with AsyncExitStack() as stack:
            with translated("SQS"):
                sqs = await stack.enter_async_context(self._lease("sqs", self._aws))
            yield sqs


def _remarks(facts: QueueFacts) -> Sequence[str]:
    remarks = []
    if facts.max_receives is None:
        remarks.append(
            f"{facts.arn} has no redrive policy: a message that always fails is tried again until it is "
            f"{facts.retention / 86_400:g} days old; set a dead-letter queue and maxReceiveCount"
        )
    if facts.visibility == 0:
        remarks.append(
            f"{facts.arn} has a visibility timeout of 0: every message is delivered again while it is processed"
        )
    return remarks
