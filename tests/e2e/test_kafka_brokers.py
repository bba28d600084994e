"""Brokers of a topic that daemons share are killed and come back, and nothing is lost."""

import pytest

from servers import KafkaCluster, TopicMaker

from .harness import until
from .scene import NewScene


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
