"""What end-to-end tests need: a function that is served, oracles for new queues, a topic that daemons share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from servers import QueueMaker, Server
from servers.topics import Topic

from .consumer import Consumer, Mood, consumer, kafka_record
from .function import Function, function
from .queue_account import Oracle
from .scene import POISON, NewScene, Scene
from .topic_load import TopicLoad, writing

Clients = Callable[[str], Any]


@pytest.fixture
def functions() -> Iterator[Callable[[], Function]]:
    """Gives a function that is being served, each time another."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(function())


@pytest.fixture
def new_oracle(boto_sqs: Clients, make_queue: QueueMaker) -> Callable[..., Oracle]:
    """Makes a queue on a server, and the oracle that knows what is sent to it."""

    def made(server: Server, **queue: Any) -> Oracle:
        return Oracle(boto_sqs(server.endpoint_url), make_queue(server.endpoint_url, **queue))

    return made


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Consumer]:
    with consumer(
        tmp_path / "dead.jsonl", kafka_record, Random(2), POISON, mood=Mood(0.05), left=Function.failed
    ) as serving:
        yield serving


@pytest.fixture
def scene(tmp_path: Path, witness: Consumer) -> Iterator[NewScene]:
    """Gives a scene of a topic with so many partitions; the load runs until `finish`."""
    with ExitStack() as stack:

        def made(topic: Topic, partitions: int) -> Scene:
            load = stack.enter_context(writing(TopicLoad(topic, partitions, keys=3)))
            return Scene(topic, load, witness, tmp_path, stack)

        yield made
