"""The coordinator of a group refuses, moves and is away, and nothing is lost."""

import pytest
from confluent_kafka import KafkaError

from servers import MockKafka
from servers.kafka_mock import Request
from servers.topics import Topic

from .harness import until
from .scene import GROUP, NewScene, times


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
    until(lambda: times(only, "lost"), "the generation is over")
    here.flows()
    kafka_mock.coordinate(GROUP, 2)
    here.flows()
    before = times(only, "lost")
    kafka_mock.down(2)
    until(lambda: times(only, "lost") > before, "the session is over")
    kafka_mock.coordinate(GROUP, 3)
    here.flows()
    here.finish()


@pytest.mark.timeout(90)
def test_a_coordinator_that_is_silent_for_a_while(scene: NewScene, kafka_mock: MockKafka) -> None:
    """Leaders answer, but nothing can be committed: nobody goes on for long, and then it goes on where it was."""
    kafka_mock.create("silent", 2, 3)
    kafka_mock.coordinate(GROUP, 2)
    for partition, leader in ((0, 1), (1, 3)):
        kafka_mock.lead("silent", partition, leader)
    here = scene(Topic("silent", {"bootstrap.servers": kafka_mock.bootstrap}), 2)
    here.source = {"session_timeout": "10s"}
    only = here.start("only")
    here.flows()
    kafka_mock.delay(120_000, 2)
    until(lambda: only.lines("lane is stalled, nothing is skipped"), "the lanes stop")
    assert "the coordinator" in only.status("orders")["last_processing_result"]
    kafka_mock.coordinate(GROUP, 3)
    here.flows()
    here.finish()


@pytest.mark.timeout(90)
def test_a_member_that_has_lost_everything_is_not_well_while_the_coordinator_is_away(
    scene: NewScene, kafka_mock: MockKafka
) -> None:
    """Leaders answer and nothing is to be committed; the client tries to join again, and says nothing of it."""
    kafka_mock.create("away", 2, 3)
    kafka_mock.coordinate(GROUP, 2)
    for partition, leader in ((0, 1), (1, 3)):
        kafka_mock.lead("away", partition, leader)
    here = scene(Topic("away", {"bootstrap.servers": kafka_mock.bootstrap}), 2)
    only = here.start("only")
    here.flows()
    kafka_mock.down(2)
    until(lambda: times(only, "lost"), "the session is over")
    until(lambda: "GroupCoordinator" in only.status("orders")["last_processing_result"], "it is told", 40.0)
    kafka_mock.coordinate(GROUP, 3)
    here.flows()
    assert only.status("orders")["last_processing_result"] == "OK"
    here.finish()
