"""A configured queue: opened for reading, or looked at without reading."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from esm.clients.aws import AwsClient, Lease
from esm.clients.aws_errors import translated
from esm.errors import Disconnected
from esm.model import Finding, Lane
from esm.plugins import SourceContext
from esm.sources.sqs.deletes import deleting
from esm.sources.sqs.event import Fragments, SqsCodec
from esm.sources.sqs.options import SqsOptions
from esm.sources.sqs.queue import QueueFacts, facts_of, find, terms_of
from esm.sources.sqs.reader import SqsReader
from esm.sources.sqs.remarks import remarks


class SqsSource:
    """A `QueueSource` that is also `Checkable`."""

    codec = SqsCodec()

    def __init__(self, options: SqsOptions, context: SourceContext, lease: Lease) -> None:
        self._options = options
        self._aws = options.reach(context.aws)
        self._context = context
        self._lease = lease
        self._world = context.world

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
                fragments = Fragments(queue.arn, self._context.window)
                yield SqsReader(sqs, queue, terms, deletes=deletes, fragments=fragments, world=self._world)

    async def check(self) -> Sequence[Finding]:
        """Whether the queue answers, and what of its own settings will hurt."""
        try:
            facts = await self._facts()
        except Disconnected as problem:
            return (Finding(broken=True, text=problem.reason),)
        found = remarks(facts, timeout=self._context.timeout, held=self._context.held)
        return tuple(Finding(broken=False, text=text) for text in found)

    async def _facts(self) -> QueueFacts:
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
