"""Daemons that share a topic come, are killed and are held, brokers fail them, and nothing is lost."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest
from confluent_kafka import KafkaError

from servers import KafkaCluster, MockKafka, Server, TopicMaker
from servers.kafka_mock import Request
from servers.topics import Topic

from .consumer import Consumer, consumer, kafka_record
from .function import Function
from .group_account import WHO, GroupAccount, Member, member
from .harness import Daemon, daemon, until, write_config
from .topic_load import TopicLoad, writing

GROUP = "orders"
POISON = ("p0k1/5", "p3k0/30")


class Scene:
    """A topic under load, and daemons that share it. `members` are those that have ended."""

    def __init__(self, topic: Topic, load: TopicLoad, witness: Consumer, folder: Path, stack: ExitStack) -> None:
        self.topic = topic
        self.load = load
        self.witness = witness
        self.members: dict[str, Member] = {}
        self._folder = folder
        self._stack = stack
        self._running: dict[str, Daemon] = {}

    def start(self, who: str, **options: Any) -> Daemon:
        """Another daemon of the group."""
        source = {
            "type": "kafka",
            "bootstrap_servers": self.topic.bootstrap,
            "topic": self.topic.name,
            "consumer_group_id": GROUP,
            "session_timeout": "3s",
            "metadata_refresh": "1s",
            **options,
        }
        orders = self.witness.mapping(
            source,
            target={"type": "http", "url": self.witness.served.url, "headers": {WHO: who}},
            parallelization_factor=2,
            maximum_batching_window_in_seconds=0,
        )
        config = write_config(
            self._folder / f"{who}.yaml", "http://127.0.0.1:9", {"orders": orders}, log={"level": "debug"}
        )
        running = self._running[who] = self._stack.enter_context(daemon(config))
        return running

    def flows(self, *of: int) -> None:
        """Waits until all that was written by now of these partitions is done, and more; of none: of all."""
        prefixes = tuple(f"p{partition}k" for partition in of or range(self.load.partitions))
        known = set(self.load.taken)
        until(lambda: any(body.startswith(prefixes) for body in set(self.load.taken) - known), "the load goes on")
        new = {body for body in set(self.load.taken) if body.startswith(prefixes)} - set(POISON)
        until(lambda: new <= set(self.witness.journal.done), f"{prefixes} flow")

    def calls(self, who: str) -> int:
        return sum(call.headers[WHO] == who for call in tuple(self.witness.served.calls))

    def kill(self, who: str) -> None:
        running = self._running.pop(who)
        running.kill()
        self.members[who] = member(running, time.monotonic())

    def finish(self) -> GroupAccount:
        """Ends the load and, when all is done, the daemons; then the account balances."""
        self.load.stop()
        self.witness.settles(self.load.taken)
        for who, running in self._running.items():
            running.signal(signal.SIGTERM)
            assert running.wait() == 0, running.output
            self.members[who] = member(running)
        account = GroupAccount(self.load.accepted(), self.witness, self.members)
        print(len(account.sent), account.again())
        account.balances()
        account.finished(self.topic, GROUP)
        return account


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Consumer]:
    with consumer(
        tmp_path / "dead.jsonl", kafka_record, Random(2), POISON, rate=0.05, left=Function.failed
    ) as serving:
        yield serving


@pytest.fixture
def scene(tmp_path: Path, witness: Consumer) -> Iterator[Callable[[Topic, int], Scene]]:
    """Of a topic with so many partitions; the load runs until `finish`."""
    with ExitStack() as stack:

        def made(topic: Topic, partitions: int) -> Scene:
            load = stack.enter_context(writing(TopicLoad(topic, partitions, keys=3)))
            return Scene(topic, load, witness, tmp_path, stack)

        yield made


NewScene = Callable[[Topic, int], Scene]


def _times(running: Daemon, kind: str) -> int:
    """How often partitions were "assigned" to it, or "lost"."""
    return len(running.lines(f"the group shares its partitions out: {kind}"))


@pytest.mark.timeout(150)
def test_daemons_come_are_killed_and_held_and_partitions_are_added(
    scene: NewScene, kafka: Server, make_topic: TopicMaker
) -> None:
    topic = make_topic(kafka.address, partitions=4)
    here = scene(topic, 4)
    first = here.start("first")
    here.flows()
    here.start("killed")
    until(lambda: here.calls("killed"), "both work")
    here.flows()
    here.kill("killed")
    here.flows()
    here.start("second")
    until(lambda: here.calls("second"), "both work again")
    first.signal(signal.SIGSTOP)
    here.flows()  # all partitions, so beyond the session timeout of the one that is held
    before = _times(first, "assigned")
    first.signal(signal.SIGCONT)
    until(lambda: _times(first, "assigned") > before, "the one that was held is back")
    topic.grow(6)
    here.load.widen(6)
    here.flows()
    account = here.finish()
    assert set(account.stream.given_up) == set(POISON) & set(here.load.taken)
    assert _times(first, "lost")


@pytest.mark.timeout(150)
def test_a_broker_is_killed_and_back_and_leaders_move(
    scene: NewScene, kafka_cluster: KafkaCluster, make_topic: TopicMaker
) -> None:
    topic = make_topic(kafka_cluster.bootstrap, partitions=3, replicas=3)
    here = scene(topic, 3)
    here.start("first", session_timeout="10s")
    here.start("second", session_timeout="10s")
    until(lambda: here.calls("first") and here.calls("second"), "both work")
    here.flows()
    leaders = topic.leaders()
    kafka_cluster.move(topic, 0, leaders[0] % 3 + 1)
    here.flows()
    kafka_cluster.brokers[leaders[1]].kill()
    kafka_cluster.until_leaders(topic, lambda now: len(now) == 3 and leaders[1] not in now.values())
    here.flows()
    kafka_cluster.heal()
    kafka_cluster.move(topic, 2, leaders[2] % 3 + 1)
    here.flows()
    here.finish()


@pytest.mark.timeout(90)
def test_a_coordinator_that_refuses_is_lost_and_forgets_its_members(
    scene: NewScene, kafka_mock: MockKafka
) -> None:
    """A commit is refused, the generation is over, the coordinator moves and is away."""
    kafka_mock.create("injected", 2, 3)
    kafka_mock.coordinate(GROUP, 1)
    for partition, leader in ((0, 1), (1, 3)):  # broker 2 will be away as a coordinator, and as nothing else
        kafka_mock.lead("injected", partition, leader)
    topic = Topic("injected", {"bootstrap.servers": kafka_mock.bootstrap})
    here = scene(topic, 2)
    only = here.start("only")
    here.flows()
    kafka_mock.fail(Request.OFFSET_COMMIT, *[KafkaError.COORDINATOR_NOT_AVAILABLE] * 3)
    here.flows()
    kafka_mock.fail(Request.OFFSET_COMMIT, *[KafkaError.ILLEGAL_GENERATION] * 2)
    here.flows()
    kafka_mock.fail(Request.HEARTBEAT, *[KafkaError.ILLEGAL_GENERATION] * 2)
    until(lambda: _times(only, "lost"), "the generation is over")
    here.flows()
    kafka_mock.coordinate(GROUP, 2)
    here.flows()
    before = _times(only, "lost")
    kafka_mock.down(2)
    until(lambda: _times(only, "lost") > before, "the session is over")
    kafka_mock.coordinate(GROUP, 3)
    here.flows()
    here.finish()
