"""A configured topic: its partitions are shared out by a consumer group, which each process joins once."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from confluent_kafka import Consumer

from esm.clients.aws import AwsOptions, Lease
from esm.clients.kafka.access import Identity
from esm.clients.kafka.cluster import access_of
from esm.errors import Disconnected
from esm.model import Finding
from esm.sources.begin import Begin
from esm.sources.kafka.absence import minding
from esm.sources.kafka.beginnings import Beginnings, Past
from esm.sources.kafka.check import findings
from esm.sources.kafka.event import Envelope, KafkaCodec
from esm.sources.kafka.membership import GroupMembership, running, tell_in
from esm.sources.kafka.options import KafkaOptions
from esm.sources.kafka.orphans import adopting
from esm.sources.kafka.poller import Poller
from esm.sources.kafka.positions import Positions
from esm.sources.kafka.renewal import renewing
from esm.sources.kafka.rows import GroupRows
from esm.world import World

_MARGIN = 5.0
_PATIENCE = 30.0
_PREFETCHED = 32 * 1024
"""Kibibytes that wait in the client, besides those that wait for their lanes."""


class KafkaSource:
    """A `GroupSource` that is also `Checkable`. `group` is the consumer group's id."""

    def __init__(
        self, options: KafkaOptions, aws: AwsOptions, lease: Lease, *, group: str, begin: Begin, world: World
    ) -> None:
        self._options = options
        self._access = access_of(options, aws, lease)
        self._group = group
        self._begin = begin
        self._world = world
        self._past = Past()
        self._envelope = Envelope(options.brokers, options.topic, options.cluster_arn or "")
        self.codec = KafkaCodec(lambda: self._envelope)

    @property
    def drain(self) -> float:
        """Seconds."""
        return self._options.drain

    @asynccontextmanager
    async def join(self) -> AsyncIterator[GroupMembership]:
        """Raises `Disconnected`."""
        identity = await self._access.identity()
        reached = await self._reach(identity)
        positions = self._positions()
        await (
            positions.committed()
        )  # a coordinator that cannot be had would leave us without partitions, and a word
        tell = tell_in(asyncio.get_running_loop())
        membership = GroupMembership(self._envelope, self._world, tell, patience=self._patience)
        membership.poller = self._poller(reached, membership)
        beginnings = Beginnings(
            positions, self._begin, self._past, remark=membership.remark, wall=self._world.wall
        )
        membership.rows = GroupRows(beginnings, membership.commit)
        async with (
            running(membership.poller, tell),
            renewing(self._access, identity, membership, self._world),
            self._adopting(positions, membership.poller),
            minding(positions.committed, membership),
        ):
            yield membership

    async def check(self) -> Sequence[Finding]:
        """Whether the brokers let us in, and the topic and the group are there for us. Joins nothing."""
        try:
            return await findings(self._positions())
        except Disconnected as problem:
            return (Finding(broken=True, text=f"{problem.code}: {problem.reason}"),)

    async def _reach(self, identity: Identity) -> Mapping[str, Any]:
        """The settings of every client; the brokers are told in events as they were found."""
        reached = await self._access.reaching(identity)
        self._envelope = Envelope(
            reached["bootstrap.servers"], self._options.topic, self._options.cluster_arn or ""
        )
        return {**reached, **self._options.settings}

    def _poller(self, reached: Mapping[str, Any], membership: GroupMembership) -> Poller:
        settings = {**reached, **self._of_the_group()}

        def make(callbacks: Mapping[str, Any]) -> Consumer:
            return Consumer({**settings, **callbacks})

        return Poller(
            make, self._options.topic, membership, membership.tell, self._world, patience=self.drain + _MARGIN
        )

    @property
    def _patience(self) -> float:
        """For a commit: well before the group would take our silence for our end."""
        return min(_PATIENCE, self._options.session_timeout * 2 / 3)

    def _adopting(self, positions: Positions, poller: Poller) -> AbstractAsyncContextManager[None]:
        options = self._options
        if options.group_instance_id is None or options.group_protocol != "classic":
            return nullcontext()
        return adopting(positions.unowned, options.metadata_refresh, poller.rejoin)

    def _positions(self) -> Positions:
        options = self._options

        async def reach() -> Mapping[str, Any]:
            return await self._reach(await self._access.identity())

        return Positions(reach, self._group, options.topic, options.isolation_level)

    def _of_the_group(self) -> Mapping[str, Any]:
        options = self._options
        return {
            "queued.max.messages.kbytes": _PREFETCHED,
            "fetch.queue.backoff.ms": 10,  # not a second of silence whenever the client has as much as that
            "group.id": self._group,
            "group.protocol": options.group_protocol,
            "isolation.level": options.isolation_level,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # a position that is gone is for people to know
            "enable.partition.eof": True,
            "topic.metadata.refresh.interval.ms": round(1000 * options.metadata_refresh),
            **_of_the_protocol(options),
            **options.settings,
        }


def _of_the_protocol(options: KafkaOptions) -> Mapping[str, Any]:
    """With the newer one brokers decide what clients decide otherwise."""
    static = {"group.instance.id": options.group_instance_id} if options.group_instance_id else {}
    if options.group_protocol == "consumer":
        return static
    timeout = round(1000 * options.session_timeout)
    return {
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": timeout,
        "heartbeat.interval.ms": min(3000, timeout // 3),
        **static,
    }
