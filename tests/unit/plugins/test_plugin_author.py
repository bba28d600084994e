"""What the author of a plugin imports and writes: the type checker holds the ports to it, this test runs it."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from esm.model import Invocation, Lane, Page, Record, Reply, Returned, Settlement, Terms
from esm.options import Duration, Options, TargetOptions
from esm.plugins import Kind, SourceContext, SourcePlugin, TargetContext, TargetPlugin
from esm.ports import Codec, QueueReader, QueueSource, Target
from esm.world import real_world


class ShelfOptions(Options):
    """A queue that is a list in memory."""

    items: tuple[str, ...]
    every: Duration = 1.0


class ShelfCodec:
    frame = 2

    def render(self, records: Sequence[Record]) -> bytes:
        return b"[" + b",".join(record.event for record in records) + b"]"

    def view(self, record: Record) -> Mapping[str, Any]:
        return {"item": record.event.decode()}


class ShelfReader:
    ordered = False
    terms = Terms(visibility=30.0, longest=3600.0, retention=86_400.0)

    async def read(self, limit: int, wait: float) -> Page:
        return Page()

    async def settle(
        self, done: Sequence[Record], failed: Sequence[Record], untried: Sequence[Record]
    ) -> Settlement:
        return Settlement(deleted=len(done))

    async def extend(self, records: Sequence[Record], seconds: float) -> Collection[Record]:
        return ()


class ShelfSource:
    codec: Codec = ShelfCodec()

    def __init__(self, options: ShelfOptions) -> None:
        self.options = options

    async def lanes(self) -> AsyncIterator[Collection[Lane]]:
        yield [Lane("shelf")]

    @asynccontextmanager
    async def open(self, lane: Lane) -> AsyncIterator[QueueReader]:
        yield ShelfReader()


class Echo:
    async def invoke(self, call: Invocation) -> Reply:
        return Returned(call.payload)


class EchoOptions(TargetOptions):
    """Nothing to choose but the timeout."""


def parse_shelf(text: str) -> Mapping[str, Any] | None:
    return {"items": text.removeprefix("shelf:").split(",")} if text.startswith("shelf:") else None


def make_shelf(options: ShelfOptions, context: SourceContext) -> QueueSource:
    return ShelfSource(options)


@asynccontextmanager
async def open_echo(options: EchoOptions, context: TargetContext) -> AsyncIterator[Target]:
    yield Echo()


SHELF = SourcePlugin("shelf", ShelfOptions, parse_shelf, lambda _: Kind.SQS, make_shelf)
ECHO = TargetPlugin("echo", EchoOptions, lambda text: {} if text == "echo:" else None, open_echo)


async def test_a_plugin_of_somebody_else_is_made_and_opened() -> None:
    given = SHELF.parse("shelf:a,b")
    assert given is not None
    options = SHELF.options(**given)
    source = SHELF.make(options, SourceContext("orders", {}, 0.0, real_world()))
    assert isinstance(source, ShelfSource)
    async with source.open(Lane("shelf")) as reader:
        assert await reader.read(10, 0.0) == Page()
    async with ECHO.open(ECHO.options(), TargetContext("echo", {})) as target:
        assert await target.invoke(Invocation(b"[]", "orders", "b", 1, "k")) == Returned(b"[]")
