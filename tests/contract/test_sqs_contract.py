"""The conformance suite of the queue port, on our SQS adapter with every server and on the engine's own fake."""

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any, cast

import pytest
from contract_endings import Endings, endings, name_of

from esm.plugins import SourceContext
from esm.ports import QueueSource
from esm.sources.sqs import PLUGIN
from esm.testing import target_suite
from esm.testing.faults import Faults
from esm.testing.loop import run
from esm.testing.queue import order, suite
from esm.testing.queue.bench import Bench, Harness, Rule
from esm.testing.queue.fake import FakeQueue, FakeSource
from esm.testing.queue.suite import RULES
from esm.world import real_world
from servers import QueueMaker, Server


@dataclass
class ServerBench:
    source: QueueSource
    client: Any
    url: str

    async def send(self, count: int = 1, group: str | None = None) -> Sequence[str]:
        return await asyncio.to_thread(lambda: [self._send(group) for _ in range(count)])

    def _send(self, group: str | None) -> str:
        ordering = {} if group is None else {"MessageGroupId": group, "MessageDeduplicationId": uuid.uuid4().hex}
        return str(self.client.send_message(QueueUrl=self.url, MessageBody="hello", **ordering)["MessageId"])


@dataclass
class ServerHarness:
    server: Server
    make_queue: QueueMaker
    client: Any

    async def queue(self, *, ordered: bool = False, visibility: int = 30) -> Bench:
        queue = self.make_queue(self.server.endpoint_url, fifo=ordered, visibility=visibility)
        return ServerBench(self._source(queue.arn), self.client, queue.url)

    def missing(self) -> QueueSource:
        return self._source("arn:aws:sqs:us-east-1:000000000000:nobody-made-this")

    def _source(self, arn: str) -> QueueSource:
        context = SourceContext(
            mapping="contract",
            aws={"endpoint_url": self.server.endpoint_url},
            window=0,
            world=real_world(),
        )
        return cast("QueueSource", PLUGIN.make(PLUGIN.options.model_validate({"arn": arn}), context))


@pytest.fixture(scope="session")
def server_endings(sqs_server: Server, boto_sqs: Callable[[str], Any]) -> Endings:
    harness = ServerHarness(sqs_server, QueueMaker(boto_sqs, "contract"), boto_sqs(sqs_server.endpoint_url))
    return endings({name_of(rule): partial(rule, harness) for rule in RULES})


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_sqs_source_conforms(rule: Rule, server_endings: Endings) -> None:
    if error := server_endings[name_of(rule)]:
        raise error


@dataclass
class FakeBench:
    queue: FakeQueue
    source: QueueSource

    async def send(self, count: int = 1, group: str | None = None) -> Sequence[str]:
        return [self.queue.send(group) for _ in range(count)]


@dataclass
class FakeHarness:
    rates: dict[str, float] = field(default_factory=dict)

    async def queue(self, *, ordered: bool = False, visibility: int = 30) -> Bench:
        queue = FakeQueue(asyncio.get_running_loop().time, ordered=ordered, visibility=visibility)
        return FakeBench(queue, FakeSource(queue, self._faults()))

    def missing(self) -> QueueSource:
        return FakeSource(FakeQueue(lambda: 0.0), Faults(random.Random(1), {"open fails": 1.0}))

    def _faults(self) -> Faults:
        return Faults(random.Random(1), self.rates)


async def _on(rule: Rule, harness: Harness) -> None:
    await rule(harness)


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_fake_queue_conforms(rule: Rule) -> None:
    run(_on(rule, FakeHarness()))


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("delete fails", suite.deletes_what_is_done),
        ("give back fails", suite.gives_back_what_was_not_tried),
    ],
)
def test_suite_catches_a_reader_that_does_not_settle(fault: str, caught: Rule) -> None:
    with pytest.raises((AssertionError, TimeoutError)):
        run(_on(caught, FakeHarness({fault: 1.0})))


@pytest.mark.parametrize("module", [suite, order, target_suite], ids=lambda module: module.__name__)
def test_no_rule_is_forgotten(module: ModuleType) -> None:
    written = {
        name
        for name, member in vars(module).items()
        if iscoroutinefunction(member) and member.__module__ == module.__name__
    }
    assert written <= {name_of(rule) for rule in module.RULES}
