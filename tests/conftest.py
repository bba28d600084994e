"""Fixtures for every test: the real servers, and an environment in which no real AWS can be reached.

`elasticmq`, `ministack` and `kinesis_local` are shared by the whole run, `sqs_server`, `kinesis_server` and
`dynamodb_server` are each of those that speak that in turn; `own_sqs_server` and `own_kinesis_server` are fresh
ones that the test may stop, kill and start again.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from servers import (
    DYNAMODB_RECIPES,
    ELASTICMQ,
    EVENT_RULER,
    KINESIS_LOCAL,
    KINESIS_LOCAL_KEEPING,
    KINESIS_RECIPES,
    MINISTACK,
    NODE_CLIENT,
    PACKAGES,
    RECIPES,
    REGION,
    QueueMaker,
    Recipe,
    Room,
    Server,
    Unavailable,
    Wanted,
    do_without,
    sqs_client,
)

pytest.register_assert_rewrite("esm.testing")  # the suites it ships say what they saw, as tests do

_EVERYTHING = (*RECIPES, *DYNAMODB_RECIPES, *KINESIS_RECIPES, *PACKAGES)
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


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Downloads what the collected tests want before the first of them runs."""
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    room = session.config.stash[_ROOM] = Room(factory.mktemp)
    if not session.config.option.collectonly:
        for recipe in {recipe.name: recipe for recipe in _EVERYTHING}.values():
            if any(_wants(item, recipe) for item in session.items):
                room.prepare(recipe)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says which servers the run was checked against."""
    if _ROOM in config.stash:
        terminalreporter.section("servers")
        terminalreporter.write_line(config.stash[_ROOM].summary())


def _wants(item: pytest.Item, recipe: Wanted) -> bool:
    params = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return recipe.name in getattr(item, "fixturenames", ()) or recipe in params


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
    try:
        return server_room.home(NODE_CLIENT)
    except Unavailable as error:
        do_without(NODE_CLIENT, error)


@pytest.fixture(scope="session")
def event_ruler(server_room: Room) -> Path:
    """The folder with the jars of AWS's matcher of event patterns."""
    try:
        return server_room.home(EVENT_RULER)
    except Unavailable as error:
        do_without(EVENT_RULER, error)


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


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def own_sqs_server(request: pytest.FixtureRequest, server_room: Room) -> Iterator[Server]:
    """Every SQS server in turn, fresh for this test, which may stop, kill and start it."""
    yield from _own(server_room, request.param)


@pytest.fixture(params=[KINESIS_LOCAL_KEEPING], ids=lambda recipe: recipe.name)
def own_kinesis_server(request: pytest.FixtureRequest, server_room: Room) -> Iterator[Server]:
    """A fresh Kinesis server that has its streams when it is back."""
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


def _own(room: Room, recipe: Recipe) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(room.own(recipe))
        except Unavailable as error:
            do_without(recipe, error)
        yield server


def _shared(room: Room, recipe: Recipe) -> Server:
    try:
        return room.shared(recipe)
    except Unavailable as error:
        do_without(recipe, error)
