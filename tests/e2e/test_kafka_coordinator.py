"""The coordinator of a group refuses, moves and is away, and nothing is lost."""

import pytest
from confluent_kafka import KafkaError

from servers import MockKafka
from servers.kafka_mock import Request
from servers.topics import Topic

from .harness import Daemon, until
from .scene import GROUP, NewScene, Scene, times


def _scene(scene: NewScene, brokers: MockKafka, topic: str, coordinator: int) -> Scene:
    """Two partitions, led by brokers 1 and 3: broker 2 may be away as a coordinator, and as nothing else."""
    brokers.create(topic, 2, 3)
    brokers.coordinate(GROUP, coordinator)
    for partition, leader in ((0, 1), (1, 3)):
        brokers.lead(topic, partition, leader)
    return scene(Topic(topic, {"bootstrap.servers": brokers.bootstrap}), 2)


def _has_stopped(running: Daemon) -> bool:
    """A commit that the client goes on trying hides the end of a session: the lanes stop instead."""
    return bool(running.lines("lane is stalled, nothing is skipped"))


@pytest.mark.timeout(90)
def test_a_coordinator_that_refuses_is_lost_and_forgets_its_members(
    scene: NewScene, kafka_mock: MockKafka
) -> None:
    """A commit is refused, the generation is over, the coordinator moves and is away."""
    here = _scene(scene, kafka_mock, "injected", 1)
    only = here.start("only")
    here.flows()
    kafka_mock.fail(Request.OFFSET_COMMIT, *[KafkaError.COORDINATOR_NOT_AVAILABLE] * 3)
    here.flows()
    kafka_mock.fail(Request.OFFSET_COMMIT, *[KafkaError.ILLEGAL_GENERATION] * 2)
    here.flows()
    kafka_mock.fail(Request.HEARTBEAT, *[KafkaError.ILLEGAL_GENERATION] * 2)
    until(lambda: times(only, "lost"), "the generation is over")
    here.flows()
    kafka_mock.coordinate(GROUP, 2)
    here.flows()
    before = times(only, "lost")
    kafka_mock.down(2)
    until(lambda: times(only, "lost") > before or _has_stopped(only), "the session is over")
    kafka_mock.coordinate(GROUP, 3)
    here.flows()
    here.finish()


@pytest.mark.timeout(90)
def test_a_coordinator_that_is_silent_for_a_while(scene: NewScene, kafka_mock: MockKafka) -> None:
    """Leaders answer, but nothing can be committed: nobody goes on for long, and then it goes on where it was."""
    here = _scene(scene, kafka_mock, "silent", 2)
    here.source = {"session_timeout": "10s"}
    only = here.start("only")
    here.flows()
    kafka_mock.delay(120_000, 2)
    until(lambda: _has_stopped(only), "the lanes stop")
    assert "the coordinator" in only.status("orders")["last_processing_result"]
    kafka_mock.coordinate(GROUP, 3)
    here.flows()
    kafka_mock.delay(0, 2)  # the account asks brokers too, any of them
    here.finish()


@pytest.mark.timeout(90)
def test_a_member_that_has_lost_everything_is_not_well_while_the_coordinator_is_away(
    scene: NewScene, kafka_mock: MockKafka
) -> None:
    """Leaders answer and nothing is to be committed; the client tries to join again, and says nothing of it."""
    here = _scene(scene, kafka_mock, "away", 2)
    only = here.start("only")
    here.flows()
    kafka_mock.down(2)
    until(lambda: times(only, "lost") or _has_stopped(only), "the session is over")
    until(lambda: "oordinator" in only.status("orders")["last_processing_result"], "it is told", 40.0)
    kafka_mock.coordinate(GROUP, 3)
    here.flows()
    until(lambda: only.status("orders")["last_processing_result"] == "OK", "it is well again")
    here.finish()
