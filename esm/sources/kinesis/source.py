"""A configured stream: its shards, opened one by one."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from esm.checkpoint import Position, Start
from esm.clients.aws import AwsClient, AwsOptions, Lease
from esm.clients.aws_errors import translated
from esm.errors import Disconnected
from esm.model import Finding, Lane
from esm.sources.begin import Begin
from esm.sources.kinesis.event import Encoder, KinesisCodec
from esm.sources.kinesis.options import KinesisOptions
from esm.sources.kinesis.shard import KinesisShard
from esm.sources.kinesis.start import start_of
from esm.sources.kinesis.stream import Stream, digits_of, find, lane_of, shards_of, status_of, time_at
from esm.sources.shards import Listing, ShardReader, pacer_of
from esm.world import World


class KinesisSource:
    """A `LogSource` that is also `Checkable`. `begin` is where the mapping begins, in AWS's words."""

    codec = KinesisCodec()

    def __init__(
        self, options: KinesisOptions, aws: AwsOptions, lease: Lease, *, begin: Begin, world: World
    ) -> None:
        self._options = options
        self._aws = aws
        self._lease = lease
        self._begin = begin
        self._world = world
        self._listing = Listing(self._list, world)
        self._found: Stream | None = None
        self._digits = 0

    async def begin(self) -> Start:
        """LATEST is the present second of the service, so all that comes later is read (docs/decisions/0028)."""
        async with self._client() as kinesis:
            now = await time_at(kinesis.cold, await self._stream(kinesis), self._world.wall())
        return start_of(self._begin, now)

    def lanes(self) -> AsyncIterator[Collection[Lane]]:
        """All shards, once a minute or when one has ended. Raises `Disconnected`."""
        return self._listing.lanes()

    @asynccontextmanager
    async def open(self, lane: Lane, after: Position | Start) -> AsyncIterator[ShardReader]:
        """Raises `Disconnected`; a shard that is missing is found out by the first read."""
        async with self._client() as kinesis:
            stream = await self._stream(kinesis)
            shard = self._shard(kinesis, stream, lane)
            place = (kinesis.cold.meta.endpoint_url, stream.arn, lane.name)
            pacer = pacer_of(place, self._options.quota, self._world)
            on_end = partial(self._listing.ended, lane.name)
            yield ShardReader(shard, after, pacer, self._world, on_end=on_end)

    async def check(self) -> Sequence[Finding]:
        """Whether the stream is there and each call that is needed is allowed; reads at most one record."""
        try:
            async with self._client() as kinesis:
                stream = await self._stream(kinesis)
                status = await status_of(kinesis.cold, stream)
                for first in (await shards_of(kinesis.cold, stream))[:1]:
                    shard = self._shard(kinesis, stream, lane_of(first))
                    await shard.fetch(await shard.iterator(Start()), 1)
        except Disconnected as problem:
            return (Finding(broken=True, text=problem.reason),)
        if status in {"ACTIVE", "UPDATING"}:
            return ()
        return (Finding(broken=status == "DELETING", text=f"{stream.arn} is {status}"),)

    def _shard(self, kinesis: AwsClient, stream: Stream, lane: Lane) -> KinesisShard:
        encoder = Encoder(stream.arn, lane.name, self._aws.role_arn or stream.owner)
        return KinesisShard(kinesis.hot, stream, lane.name, encoder, self._world, digits=self._digits)

    async def _list(self) -> Collection[Lane]:
        async with self._client() as kinesis:
            shards = await shards_of(kinesis.cold, await self._stream(kinesis))
        self._digits = digits_of(shards)
        return [lane_of(shard) for shard in shards]

    async def _stream(self, kinesis: AwsClient) -> Stream:
        if self._found is None:
            self._found = await find(kinesis.cold, self._options)
        return self._found

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AwsClient]:
        async with AsyncExitStack() as stack:
            with translated("Kinesis"):
                kinesis = await stack.enter_async_context(self._lease("kinesis", self._aws))
            yield kinesis
