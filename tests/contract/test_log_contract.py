"""The conformance suite of the log port, on our Kinesis adapter with every server and with the fast stand-in."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from inspect import iscoroutinefunction
from types import ModuleType
from typing import cast

import pytest
from contract_endings import Endings, endings, name_of

from esm.plugins import SourceContext
from esm.ports import LogSource
from esm.sources.kinesis import PLUGIN
from esm.testing.log import ages, lineage, suite
from esm.testing.log.bench import Bench, Harness, Rule
from esm.testing.log.suite import RULES
from esm.world import real_world
from servers import Server
from servers.streams import DataStream, StandIn, kinesis_client, kinesis_stand_in

NUMBERS = itertools.count()

# ministack forgets a shard when it is split, with all that is in it: that is no lineage to test.
FORGETS_PARENTS = {"ministack"}


def source_of(endpoint_url: str, stream: str, position: str = "TRIM_HORIZON") -> LogSource:
    context = SourceContext(
        "contract", {"endpoint_url": endpoint_url}, 0, real_world(), starting_position=position
    )
    return cast("LogSource", PLUGIN.make(PLUGIN.options.model_validate({"stream": stream}), context))


class StreamBench:
    def __init__(self, source: LogSource, stream: DataStream) -> None:
        self.source = source
        self.stream = stream

    async def put(self, count: int = 1, key: str = "k") -> Sequence[str]:
        return await asyncio.to_thread(self.stream.put, count, key)


class ReshapedBench(StreamBench):
    async def split(self) -> None:
        await asyncio.to_thread(self.stream.split)

    async def merge(self) -> None:
        await asyncio.to_thread(self.stream.merge)


class AgedBench(ReshapedBench):
    def __init__(self, source: LogSource, stream: DataStream, server: StandIn) -> None:
        super().__init__(source, stream)
        self.server = server

    async def trim(self, count: int) -> None:
        await asyncio.to_thread(self.server.control, "trim", StreamName=self.stream.name, Count=count)

    async def expire(self) -> None:
        await asyncio.to_thread(self.server.control, "expire")


class ServerHarness:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = kinesis_client(server.endpoint_url)

    async def log(self, *, latest: bool = False) -> Bench:
        stream = await asyncio.to_thread(DataStream, self._client, f"contract-{next(NUMBERS)}")
        position = "LATEST" if latest else "TRIM_HORIZON"
        # By name and by ARN in turn: servers differ in what they know of ARNs.
        source = source_of(self._server.endpoint_url, stream.arn if next(NUMBERS) % 2 else stream.name, position)
        kind = StreamBench if self._server.name in FORGETS_PARENTS else ReshapedBench
        return kind(source, stream)

    def missing(self) -> LogSource:
        return source_of(self._server.endpoint_url, "nobody-made-this")


class StandInHarness:
    """`aged`: its benches let iterators expire, which they do for all readers of the server at once."""

    def __init__(self, server: StandIn, *, aged: bool) -> None:
        self._server = server
        self._client = kinesis_client(server.endpoint_url)
        self._aged = aged

    async def log(self, *, latest: bool = False) -> Bench:
        stream = await asyncio.to_thread(DataStream, self._client, f"contract-{next(NUMBERS)}")
        source = source_of(self._server.endpoint_url, stream.name, "LATEST" if latest else "TRIM_HORIZON")
        return AgedBench(source, stream, self._server) if self._aged else ReshapedBench(source, stream)

    def missing(self) -> LogSource:
        return source_of(self._server.endpoint_url, "nobody-made-this")


def all_endings(harness: Harness) -> Endings:
    return endings({name_of(rule): partial(rule, harness) for rule in RULES})


@pytest.fixture(scope="session")
def server_endings(kinesis_server: Server) -> Endings:
    return all_endings(ServerHarness(kinesis_server))


@pytest.fixture(scope="session")
def stand_in(no_real_aws: None) -> Iterator[StandIn]:
    with kinesis_stand_in("--enforce") as server:
        yield server


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_kinesis_source_conforms(rule: Rule, server_endings: Endings) -> None:
    if error := server_endings[name_of(rule)]:
        raise error


@pytest.fixture(scope="session")
def stand_in_endings(stand_in: StandIn) -> Endings:
    return all_endings(StandInHarness(stand_in, aged=False))


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_stand_in_conforms(rule: Rule, stand_in_endings: Endings) -> None:
    if error := stand_in_endings[name_of(rule)]:
        raise error


@pytest.mark.parametrize("rule", ages.RULES, ids=name_of)
async def test_kinesis_source_conforms_when_time_passes(rule: Rule, stand_in: StandIn) -> None:
    await rule(StandInHarness(stand_in, aged=True))


@pytest.mark.parametrize("module", [suite, lineage, ages], ids=lambda module: module.__name__)
def test_no_rule_is_forgotten(module: ModuleType) -> None:
    written = {
        name
        for name, member in vars(module).items()
        if iscoroutinefunction(member) and member.__module__ == module.__name__ and not name.startswith("_")
    }
    assert written == {name_of(rule) for rule in module.RULES if rule.__module__ == module.__name__}
