"""Every on-failure destination keeps the contract of the port, on real servers wherever there is one."""

import asyncio
import io
import json
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from aiohttp import web
from confluent_kafka import Consumer, TopicPartition
from contract_endings import Endings, endings, name_of
from functions.http_servers import free_port

from esm.destinations import BUILT_IN
from esm.plugins import DestinationContext
from esm.ports import Destination
from esm.testing.destination_suite import RULES, Bench, Rule
from servers import REGION, QueueMaker, Server
from servers.topics import Topic, TopicMaker

PLUGINS = {plugin.name: plugin for plugin in BUILT_IN}
ACCOUNT = "000000000000"
_PAUSE = 0.02  # seconds between two looks at what cannot be waited for
NOWHERE = f"http://127.0.0.1:{free_port()}"
Documents = list[Mapping[str, Any]]
Fetch = Callable[[], Documents]
"""What has arrived since it was asked last."""


@dataclass
class Polled:
    """A bench whose other end is asked again and again."""

    destination: Destination
    fetch: Fetch
    seen: Documents

    async def received(self, count: int) -> Sequence[Mapping[str, Any]]:
        self.seen += await asyncio.to_thread(self.fetch)
        while len(self.seen) < count:
            await asyncio.sleep(_PAUSE)
            self.seen += await asyncio.to_thread(self.fetch)
        return self.seen


def opened(kind: str, endpoint: str, **options: Any) -> AbstractAsyncContextManager[Destination]:
    plugin = PLUGINS[kind]
    context = DestinationContext({"endpoint_url": endpoint, "region": REGION})
    return plugin.open(plugin.options.model_validate(options), context)


@dataclass
class AtAws:
    """A destination at a server; `make` gives its options and how its other end is read."""

    kind: str
    endpoint: str
    make: Callable[[], tuple[Mapping[str, Any], Fetch]]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Bench]:
        options, fetch = await asyncio.to_thread(self.make)
        async with opened(self.kind, self.endpoint, **options) as destination:
            yield Polled(destination, fetch, [])

    @asynccontextmanager
    async def absent(self) -> AsyncIterator[Destination]:
        options, _ = await asyncio.to_thread(self.make)
        async with opened(self.kind, NOWHERE, **options) as destination:
            yield destination


@dataclass
class Account:
    """Makes the far ends in one server."""

    endpoint: str
    make_queue: QueueMaker
    folder: Path
    clients: Callable[[str, str], Any]

    def client(self, service: str) -> Any:
        return self.clients(service, self.endpoint)

    def sqs(self) -> tuple[Mapping[str, Any], Fetch]:
        queue = self.make_queue(self.endpoint)
        return {"arn": queue.arn}, self._reading(queue.url, json.loads)

    def sqs_by_url(self) -> tuple[Mapping[str, Any], Fetch]:
        queue = self.make_queue(self.endpoint)
        return {"queue_url": queue.url}, self._reading(queue.url, json.loads)

    def sns(self) -> tuple[Mapping[str, Any], Fetch]:
        queue = self.make_queue(self.endpoint)
        topic = self.client("sns").create_topic(Name=queue.name)["TopicArn"]
        self.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
        return {"arn": topic}, self._reading(queue.url, lambda body: json.loads(json.loads(body)["Message"]))

    def eventbridge(self) -> tuple[Mapping[str, Any], Fetch]:
        queue = self.make_queue(self.endpoint)
        events, bus = self.client("events"), queue.name
        arn = events.create_event_bus(Name=bus)["EventBusArn"]
        pattern = {"source": ["esm"], "detail-type": ["Event Source Mapping Result - Failure"]}
        events.put_rule(Name="all", EventBusName=bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "1", "Arn": queue.arn}])
        return {"arn": arn}, self._reading(queue.url, lambda body: json.loads(body)["detail"])

    def s3(self) -> tuple[Mapping[str, Any], Fetch]:
        s3, bucket = self.client("s3"), f"failed-{uuid.uuid4().hex}"
        s3.create_bucket(Bucket=bucket)
        known: set[str] = set()

        def fetch() -> Documents:
            keys = {one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])} - known
            known.update(keys)
            found = [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
            return [{name: value for name, value in one.items() if name != "payload"} for one in found]

        return {"bucket": bucket}, fetch

    def lambda_(self) -> tuple[Mapping[str, Any], Fetch]:
        file = self.folder / f"{uuid.uuid4().hex}.jsonl"
        source = f"import json\ndef on(event, _):\n open({str(file)!r}, 'a').write(json.dumps(event) + '\\n')\n"
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("seen.py", source)
        made = self.client("lambda").create_function(
            FunctionName=f"f-{uuid.uuid4().hex}",
            Runtime="python3.11",
            Role=f"arn:aws:iam::{ACCOUNT}:role/any",
            Handler="seen.on",
            Code={"ZipFile": code.getvalue()},
        )
        return {"arn": made["FunctionArn"]}, lines_of(file)

    def _reading(self, url: str, document: Callable[[str], Mapping[str, Any]]) -> Fetch:
        sqs = self.client("sqs")

        def fetch() -> Documents:
            got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
            return [document(one["Body"]) for one in got]

        return fetch


def lines_of(file: Path) -> Fetch:
    """The new lines of a file, which need not be there yet."""
    told = 0

    def fetch() -> Documents:
        nonlocal told
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        new, told = whole[told:], len(whole)
        return [json.loads(line) for line in new]

    return fetch


@pytest.fixture(scope="module")
def make_account(
    boto_sqs: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Server], Account]:
    clients = cache(lambda service, endpoint: boto3.client(service, region_name=REGION, endpoint_url=endpoint))
    folder = tmp_path_factory.mktemp("functions")
    return lambda server: Account(server.endpoint_url, QueueMaker(boto_sqs, "failed"), folder, clients)


each_rule = pytest.mark.parametrize("rule", RULES, ids=name_of)


def all_endings(harness: AtAws) -> Endings:
    """With one client for all."""
    return endings({name_of(rule): partial(rule, harness) for rule in RULES})


@pytest.fixture(scope="module", params=["sqs", "sqs_by_url"])
def of_queue(
    request: pytest.FixtureRequest, sqs_server: Server, make_account: Callable[[Server], Account]
) -> Endings:
    account = make_account(sqs_server)
    return all_endings(AtAws("sqs", account.endpoint, getattr(account, request.param)))


@pytest.fixture(scope="module", params=["sns", "s3", "eventbridge", "lambda_"])
def of_service(
    request: pytest.FixtureRequest, ministack: Server, make_account: Callable[[Server], Account]
) -> Endings:
    account = make_account(ministack)
    return all_endings(AtAws(request.param.strip("_"), account.endpoint, getattr(account, request.param)))


@each_rule
def test_a_queue_conforms(of_queue: Endings, rule: Rule) -> None:
    if error := of_queue[name_of(rule)]:
        raise error


@each_rule
def test_a_service_conforms(of_service: Endings, rule: Rule) -> None:
    if error := of_service[name_of(rule)]:
        raise error


@dataclass
class OverHttp:
    """A server of our own that keeps what is posted to it."""

    destination: Destination
    got: Documents
    more: asyncio.Condition

    async def received(self, count: int) -> Sequence[Mapping[str, Any]]:
        async with self.more:
            await self.more.wait_for(lambda: len(self.got) >= count)
        return self.got


class HttpHarness:
    @asynccontextmanager
    async def open(self) -> AsyncIterator[Bench]:
        got: Documents = []
        more = asyncio.Condition()

        async def take(request: web.Request) -> web.Response:
            got.append(json.loads(await request.read()))
            async with more:
                more.notify_all()
            return web.Response(status=202)

        app = web.Application(client_max_size=2**24)
        app.router.add_post("/failed", take)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
            async with opened("http", NOWHERE, url=f"http://127.0.0.1:{port}/failed") as destination:
                yield OverHttp(destination, got, more)
        finally:
            await runner.cleanup()

    def absent(self) -> AbstractAsyncContextManager[Destination]:
        return opened("http", NOWHERE, url=f"{NOWHERE}/failed?token=secret")


@each_rule
async def test_a_web_address_conforms(rule: Rule) -> None:
    await rule(HttpHarness())


@dataclass
class FileHarness:
    folder: Path

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Bench]:
        path = self.folder / "failed.jsonl"
        async with opened("file", NOWHERE, path=str(path)) as destination:
            yield Polled(destination, lines_of(path), [])

    def absent(self) -> AbstractAsyncContextManager[Destination]:
        return opened("file", NOWHERE, path=str(self.folder / "not-mounted" / "failed.jsonl"))


@each_rule
async def test_a_file_conforms(rule: Rule, tmp_path: Path) -> None:
    await rule(FileHarness(tmp_path))


@dataclass
class KafkaHarness:
    """A topic at a real broker, and one at an address where nobody listens."""

    topic: Topic

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Bench]:
        with reading(self.topic) as fetch:
            options = {"bootstrap_servers": self.topic.bootstrap, "topic": self.topic.name}
            async with opened("kafka", NOWHERE, **options) as destination:
                yield Polled(destination, fetch, [])

    def absent(self) -> AbstractAsyncContextManager[Destination]:
        nobody = NOWHERE.removeprefix("http://")
        return opened("kafka", NOWHERE, bootstrap_servers=nobody, topic=self.topic.name, timeout=1)


@contextmanager
def reading(topic: Topic) -> Iterator[Fetch]:
    """What has been written to the one partition of a topic."""
    consumer = Consumer({**topic.options, "group.id": uuid.uuid4().hex, "log_level": 0})
    consumer.assign([TopicPartition(topic.name, 0, 0)])

    def fetch() -> Documents:
        values = [message.value() for message in consumer.consume(100, 0.1)]
        return [json.loads(value) for value in values if value is not None]

    try:
        yield fetch
    finally:
        consumer.close()


@each_rule
async def test_a_topic_conforms(rule: Rule, kafka: Server, make_topic: TopicMaker) -> None:
    await rule(KafkaHarness(await asyncio.to_thread(make_topic, kafka.address)))
