"""Fixtures for every test: the real servers, and an environment in which no real AWS can be reached.

`elasticmq`, `ministack`, `kinesis_local` and `kafka` are shared by the whole run, `sqs_server`, `kinesis_server`,
`dynamodb_server` and `kafka_server` are each of those that speak that in turn; `own_sqs_server`,
`own_kinesis_server` and `own_kafka_server` are fresh ones that the test may stop, kill and start again;
`kafka_cluster` is whole again before each test.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from servers import (
    DYNAMODB_RECIPES,
    ELASTICMQ,
    EVENT_RULER,
    KAFKA,
    KAFKA_MOCK,
    KAFKA_RECIPES,
    KINESIS_LOCAL,
    KINESIS_LOCAL_KEEPING,
    KINESIS_RECIPES,
    MINISTACK,
    NODE_CLIENT,
    PACKAGES,
    RECIPES,
    REGION,
    KafkaCluster,
    MockKafka,
    QueueMaker,
    Recipe,
    Room,
    SecuredKafka,
    Server,
    TopicMaker,
    Unavailable,
    Wanted,
    do_without,
    sqs_client,
)
from servers import (
    mock_kafka as started_mock,
)

pytest.register_assert_rewrite("esm.testing")  # the suites it ships say what they saw, as tests do

# A machine that does other things too takes as long as it takes.
hypothesis.settings.register_profile("patient", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("patient")

_EVERYTHING = (*RECIPES, *DYNAMODB_RECIPES, *KINESIS_RECIPES, *KAFKA_RECIPES, *PACKAGES)
_ALSO_KAFKA = {"kafka_secured", "kafka_cluster_alive"}
_ROOM = pytest.StashKey[Room]()

_AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three processes for two cores: most wait, for a daemon or a server (docs/decisions: 32)."""
    cores = len(os.sched_getaffinity(0))
    return cores + cores // 2


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Downloads what the collected tests want before the first of them runs."""
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    room = session.config.stash[_ROOM] = Room(factory.mktemp)
    if not session.config.option.collectonly:
        for recipe in {recipe.name: recipe for recipe in _EVERYTHING}.values():
            if any(_wants(item, recipe) for item in session.items):
                room.prepare(recipe)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process tells the one that reports which servers it had."""
    if _ROOM in session.config.stash and hasattr(session.config, "workeroutput"):
        room = session.config.stash[_ROOM]
        session.config.workeroutput["servers"] = (room.ran, {name: e.reason for name, e in room.missing.items()})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Takes in what a worker had; one that crashed tells nothing."""
    ran, missing = getattr(node, "workeroutput", {}).get("servers", ({}, {}))
    room = node.config.stash[_ROOM]
    room.ran.update(ran)
    room.missing.update({name: Unavailable(reason) for name, reason in missing.items()})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says which servers the run was checked against."""
    if _ROOM in config.stash:
        terminalreporter.section("servers")
        terminalreporter.write_line(config.stash[_ROOM].summary())


def _wants(item: pytest.Item, recipe: Wanted) -> bool:
    params = item.callspec.params.values() if hasattr(item, "callspec") else ()
    names = set(getattr(item, "fixturenames", ()))
    return recipe.name in names or recipe in params or (recipe is KAFKA and bool(names & _ALSO_KAFKA))


@pytest.fixture(scope="session", autouse=True)
def no_real_aws() -> Iterator[None]:
    """No test can use a real account, a profile, an instance's role or a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in _AWS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def server_room(request: pytest.FixtureRequest, no_real_aws: None) -> Iterator[Room]:
    room = request.config.stash[_ROOM]
    yield room
    room.close()


@pytest.fixture(scope="session")
def elasticmq(server_room: Room) -> Server:
    return _shared(server_room, ELASTICMQ)


@pytest.fixture(scope="session")
def ministack(server_room: Room) -> Server:
    return _shared(server_room, MINISTACK)


@pytest.fixture(scope="session")
def kinesis_local(server_room: Room) -> Server:
    return _shared(server_room, KINESIS_LOCAL)


@pytest.fixture(scope="session")
def node_client(server_room: Room) -> Path:
    """The folder that AWS's runtime client for Node is installed in."""
    with _or_without(NODE_CLIENT):
        return server_room.home(NODE_CLIENT)


@pytest.fixture(scope="session")
def event_ruler(server_room: Room) -> Path:
    """The folder with the jars of AWS's matcher of event patterns."""
    with _or_without(EVENT_RULER):
        return server_room.home(EVENT_RULER)


@pytest.fixture(scope="session", params=RECIPES, ids=lambda recipe: recipe.name)
def sqs_server(request: pytest.FixtureRequest, server_room: Room) -> Server:
    """Every SQS server in turn."""
    return _shared(server_room, request.param)


@pytest.fixture(scope="session", params=KINESIS_RECIPES, ids=lambda recipe: recipe.name)
def kinesis_server(request: pytest.FixtureRequest, server_room: Room) -> Server:
    """Every Kinesis server in turn."""
    return _shared(server_room, request.param)


@pytest.fixture(scope="session", params=DYNAMODB_RECIPES, ids=lambda recipe: recipe.name)
def dynamodb_server(request: pytest.FixtureRequest, server_room: Room) -> Server:
    """Every server of DynamoDB streams in turn."""
    return _shared(server_room, request.param)


@pytest.fixture(scope="session")
def kafka(server_room: Room) -> Server:
    """Apache Kafka, one broker."""
    return _warm(_shared(server_room, KAFKA))


@pytest.fixture(scope="session", params=KAFKA_RECIPES, ids=lambda recipe: recipe.name)
def kafka_server(request: pytest.FixtureRequest, server_room: Room) -> Server:
    """Everything that speaks Kafka's protocol in turn."""
    return _warm(_shared(server_room, request.param))


@pytest.fixture(scope="session")
def kafka_secured(server_room: Room, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """Apache Kafka that wants to know whom it speaks to."""
    with _or_without(KAFKA):
        secured = SecuredKafka(server_room.home(KAFKA), tmp_path_factory.mktemp("kafka_secured"))
        secured.server.start()
    yield secured
    secured.server.stop()


@pytest.fixture(scope="session")
def kafka_cluster_alive(server_room: Room, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with _or_without(KAFKA):
        cluster = KafkaCluster(server_room.home(KAFKA), tmp_path_factory.mktemp("kafka_cluster"))
    yield cluster
    cluster.stop()


@pytest.fixture
def kafka_cluster(kafka_cluster_alive: KafkaCluster) -> KafkaCluster:
    """Three brokers of Apache Kafka, whatever the test before did to them."""
    with _or_without(KAFKA):
        kafka_cluster_alive.heal()
    return kafka_cluster_alive


@pytest.fixture
def kafka_mock(server_room: Room) -> Iterator[MockKafka]:
    """Brokers of this test's own that fail in the way they are told to."""
    with _or_without(KAFKA_MOCK):
        server_room.home(KAFKA_MOCK)
    with started_mock() as mock:
        yield mock


@pytest.fixture
def make_topic(request: pytest.FixtureRequest) -> TopicMaker:
    """Makes topics of this test's own: `make_topic(kafka.address, partitions=4)`."""
    return TopicMaker(request.node.name)


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def own_sqs_server(request: pytest.FixtureRequest, server_room: Room) -> Iterator[Server]:
    """Every SQS server in turn, fresh for this test, which may stop, kill and start it."""
    yield from _own(server_room, request.param)


@pytest.fixture(params=[KINESIS_LOCAL_KEEPING], ids=lambda recipe: recipe.name)
def own_kinesis_server(request: pytest.FixtureRequest, server_room: Room) -> Iterator[Server]:
    """A fresh Kinesis server that has its streams when it is back."""
    yield from _own(server_room, request.param)


@pytest.fixture(params=KAFKA_RECIPES, ids=lambda recipe: recipe.name)
def own_kafka_server(request: pytest.FixtureRequest, server_room: Room) -> Iterator[Server]:
    """Everything that speaks Kafka's protocol in turn, fresh for this test, which may stop, kill and start it."""
    yield from _own(server_room, request.param)


@pytest.fixture(scope="session")
def boto_sqs(no_real_aws: None) -> Iterator[Callable[[str], Any]]:
    """Gives a boto3 client for the SQS server at an endpoint URL."""
    clients: dict[str, Any] = {}

    def client(endpoint_url: str) -> Any:
        if endpoint_url not in clients:
            clients[endpoint_url] = sqs_client(endpoint_url)
        return clients[endpoint_url]

    yield client
    for opened in clients.values():
        opened.close()


@pytest.fixture
def make_queue(request: pytest.FixtureRequest, boto_sqs: Callable[[str], Any]) -> QueueMaker:
    """Makes queues of this test's own: `make_queue(endpoint_url, fifo=True, visibility=5)`."""
    return QueueMaker(boto_sqs, request.node.name)


def _shared(room: Room, recipe: Recipe) -> Server:
    with _or_without(recipe):
        return room.shared(recipe)


def _warm(server: Server) -> Server:
    # A broker makes the place of commits when it is first asked for one, which may take seconds.
    TopicMaker("warm-up")(server.address).committed("warm-up")
    return server


def _own(room: Room, recipe: Recipe) -> Iterator[Server]:
    with ExitStack() as stack:
        with _or_without(recipe):
            server = stack.enter_context(room.own(recipe))
        yield server


@contextmanager
def _or_without(recipe: Wanted) -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        do_without(recipe, error)
