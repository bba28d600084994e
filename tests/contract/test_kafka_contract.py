"""The conformance suite of the group port, on our Kafka adapter with Apache Kafka."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import cast

import pytest
from confluent_kafka import Consumer, TopicPartition

from esm.plugins import SourceContext
from esm.ports import GroupSource
from esm.sources.kafka import PLUGIN
from esm.sources.kafka.event import lane_name, partition_of
from esm.testing.group.bench import GroupBench, GroupRule
from esm.testing.group.suite import RULES
from esm.world import real_world
from servers import Server
from servers.kafka_evictions import evict
from servers.topics import Record, Topic, TopicMaker

NUMBERS = itertools.count()
PROTOCOLS = ("classic", "consumer")

# A member of the newer protocol leaves with a heartbeat of its own epoch, which nobody else can send for it.
NOBODY_ELSE_CAN = {"refuses_writes_of_a_member_taken_for_dead"}


def source_of(topic: Topic, group: str, protocol: str, position: str = "TRIM_HORIZON") -> GroupSource:
    options = {
        "bootstrap_servers": topic.bootstrap,
        "topic": topic.name,
        "consumer_group_id": group,
        "group_protocol": protocol,
        "metadata_refresh": 1,
        "settings": {} if protocol == "consumer" else {"heartbeat.interval.ms": 200},
    }
    context = SourceContext("contract", {}, 0, real_world(), starting_position=position)
    return cast("GroupSource", PLUGIN.make(PLUGIN.options.model_validate(options), context))


class TopicBench:
    def __init__(self, topic: Topic, protocol: str, partitions: int) -> None:
        self.topic = topic
        self.group = f"contract-{next(NUMBERS)}"
        self.protocol = protocol
        self.lanes = [lane_name(topic.name, number) for number in range(partitions)]

    def source(self, *, latest: bool = False) -> GroupSource:
        position = "LATEST" if latest else "TRIM_HORIZON"
        return source_of(self.topic, self.group, self.protocol, position)

    async def put(self, lane: str, count: int = 1) -> Sequence[str]:
        records = [Record(b"value", key=b"k", partition=partition_of(lane)) for _ in range(count)]
        written = await asyncio.to_thread(self.topic.produce, records)
        return [f"{lane}@{offset}" for _, offset in written]

    async def trim(self, lane: str, count: int) -> None:
        number = partition_of(lane)
        start = (await asyncio.to_thread(self.topic.starts))[number]
        await asyncio.to_thread(self.topic.trim, number, start + count)

    async def add(self) -> str:
        number = len(self.lanes)
        await asyncio.to_thread(self.topic.grow, number + 1)
        self.lanes.append(lane_name(self.topic.name, number))
        return self.lanes[-1]

    async def write_text(self, lane: str, offset: int, text: str) -> None:
        def write() -> None:
            consumer = Consumer({**self.topic.options, "group.id": self.group, "log_level": 0})
            place = TopicPartition(self.topic.name, partition_of(lane), offset, text)
            consumer.commit(offsets=[place], asynchronous=False)
            consumer.close()

        await asyncio.to_thread(write)

    async def take_for_dead(self, source: GroupSource) -> None:
        (member,) = await asyncio.to_thread(self.topic.members, self.group)
        await asyncio.to_thread(evict, self.topic.bootstrap, self.group, member)


class KafkaHarness:
    def __init__(self, server: Server, make_topic: TopicMaker, protocol: str) -> None:
        self._server = server
        self._make_topic = make_topic
        self._protocol = protocol

    async def group(self, lanes: int = 1) -> GroupBench:
        topic = await asyncio.to_thread(self._make_topic, self._server.address, partitions=lanes)
        return TopicBench(topic, self._protocol, lanes)

    def missing(self) -> GroupSource:
        topic = Topic("nobody-made-this-either", {"bootstrap.servers": self._server.address})
        return source_of(topic, "contract-missing", self._protocol)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_kafka_keeps_the_contract_of_a_group(
    kafka: Server, make_topic: TopicMaker, rule: GroupRule, protocol: str
) -> None:
    if protocol == "consumer" and getattr(rule, "__name__", "") in NOBODY_ELSE_CAN:
        pytest.skip("only the member itself could leave")
    await rule(KafkaHarness(kafka, make_topic, protocol))
