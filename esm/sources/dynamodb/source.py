"""A configured stream, or the streams of a table: listed, opened for reading, or looked at without reading."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from esm.checkpoint import Position, Start
from esm.clients.aws import AwsOptions, Lease
from esm.core.pacing import Quota
from esm.errors import Disconnected, LaneGone
from esm.model import Finding, Lane
from esm.sources.dynamodb.check import findings
from esm.sources.dynamodb.event import DynamoCodec
from esm.sources.dynamodb.lineage import Shard, Stream, children_of, is_of, lanes_of, shard_of
from esm.sources.dynamodb.options import DynamoOptions
from esm.sources.dynamodb.service import Service, opened
from esm.sources.dynamodb.shard import MISSING, DynamoShard
from esm.sources.shards import Listing, ShardReader, pacer_of
from esm.world import World

# No rate of reads is documented. This is ten times what a shard takes in: it has the writes of one partition, a
# thousand per second at most, and a read returns up to a thousand.
_QUOTA = Quota(reads=10.0, size=float("inf"))


class DynamoSource:
    """A `LogSource` that is also `Recalling` and `Checkable`. `latest`: begin with what is written from now on."""

    codec = DynamoCodec()

    def __init__(
        self, options: DynamoOptions, aws: AwsOptions, lease: Lease, *, latest: bool, world: World
    ) -> None:
        self._options = options
        self._aws = aws
        self._lease = lease
        self._latest = latest
        self._world = world
        self._streams: dict[str, Stream] = {}
        self._begun: Collection[str] = ()
        self._gone: Sequence[Stream] = ()
        self._listing = Listing(self._list, world)

    async def begin(self) -> Start:
        """The service's own time, or the oldest record. Raises `Disconnected`."""
        if not self._latest:
            return Start()
        async with self._service() as service:
            return Start(await service.now())

    def recall(self, lanes: Collection[str]) -> None:
        """A table's stream may have been made anew since they were begun."""
        self._begun = tuple(lanes)

    def lanes(self) -> AsyncIterator[Collection[Lane]]:
        """All shards that still hold records, of a table those of its former streams too."""
        return self._listing.lanes()

    @asynccontextmanager
    async def open(self, lane: Lane, after: Position | Start) -> AsyncIterator[ShardReader]:
        """Raises `Disconnected`; by the first read it is noticed that a shard is gone."""
        async with self._service() as service:
            stream = await self._stream_of(lane, service)
            reader = self._shard(stream, lane, service)
            pacer = pacer_of((service.endpoint, stream.arn, shard_of(lane.name)), _QUOTA, self._world)
            yield ShardReader(reader, after, pacer, self._world, on_end=lambda: self._ended(stream.arn, lane))

    async def check(self) -> Sequence[Finding]:
        """Whether the stream answers and may be read, and what of it will surprise."""
        return await findings(self._service, self._options)

    def _service(self) -> AbstractAsyncContextManager[Service]:
        return opened(self._lease, self._options, self._aws, self._world)

    async def _list(self) -> Collection[Lane]:
        async with self._service() as service:
            streams = await service.streams(tuple(self._streams), self._begun)
        found = {stream.arn: stream for stream in streams}
        self._gone = [each for each in (*self._gone, *self._streams.values()) if each.arn not in found]
        self._streams = found
        self._begun = ()  # what is there of them is known now
        return lanes_of(streams, self._gone)

    async def _stream_of(self, lane: Lane, service: Service) -> Stream:
        """Known from a listing; a lane may be opened before the first one."""
        if not any(is_of(lane.name, arn) for arn in self._streams):
            found = await service.streams(tuple(self._streams), [lane.name])
            self._streams |= {stream.arn: stream for stream in found}
        for stream in self._streams.values():
            if is_of(lane.name, stream.arn):
                return stream
        raise LaneGone(MISSING, f"{lane.name} is no shard of {self._options.called}")

    def _shard(self, stream: Stream, lane: Lane, service: Service) -> DynamoShard:
        name = shard_of(lane.name)
        first = next((shard.first for shard in stream.shards if shard.id == name), "")

        async def children() -> tuple[Lane, ...] | None:
            if not (known := self._children(stream.arn, name)):
                self._remember(stream.arn, await _found(service, stream.arn, name))
                known = self._children(stream.arn, name)
            return known or None

        return DynamoShard(
            service.fetch, {"StreamArn": stream.arn, "ShardId": name}, first,
            by_time=service.knows_time, wall=self._world.wall, children=children,
        )  # fmt: skip

    def _children(self, arn: str, shard: str) -> tuple[Lane, ...]:
        stream = self._streams.get(arn)
        return children_of(arn, shard, stream.shards) if stream else ()

    def _remember(self, arn: str, shards: Sequence[Shard]) -> None:
        stream = self._streams.get(arn, Stream(arn))
        known = {shard.id for shard in stream.shards}
        new = (shard for shard in shards if shard.id not in known)
        self._streams[arn] = Stream(arn, (*stream.shards, *new), stream.on)

    def _ended(self, arn: str, lane: Lane) -> None:
        if not self._children(arn, shard_of(lane.name)):
            self._listing.ended(lane.name)


async def _found(service: Service, arn: str, shard: str) -> Sequence[Shard]:
    """Children that are not listed yet are found by the next listing, which this makes the sooner."""
    try:
        return await service.children(arn, shard)
    except Disconnected:
        return ()
