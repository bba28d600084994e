"""Three brokers of Apache Kafka that fail on their own: killed, held and started again, their leaders moved.

A partition has three replicas, of which two have to take a record. A broker that is killed or held loses its
partitions to the others within about three seconds; one that is back gets them again a few seconds later.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from confluent_kafka import KafkaException

from .kafka import KAFKA, SETTINGS, broker
from .kafka_moves import reassign
from .process import Server, free_port
from .recipe import Command, Place
from .topics import Topic

_PATIENCE = 40.0
_LOOK_SECONDS = 0.05
_ANSWER_SECONDS = 2.0
_PROTOCOLS = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"

# The second half lets a broker that is gone be missed within seconds.
_TOGETHER = {
    **SETTINGS,
    "listener.security.protocol.map": _PROTOCOLS,
    "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.num.partitions": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.num.partitions": "2",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "3000",
    "leader.imbalance.check.interval.seconds": "5",
}


class KafkaCluster:
    """Brokers 1, 2 and 3, each a server of its own, in racks `az1` to `az3`."""

    def __init__(self, home: Path, work: Path) -> None:
        controllers = {number: free_port() for number in (1, 2, 3)}
        self.brokers: Mapping[int, Server] = {
            number: _server(number, controllers, home, work / f"broker{number}") for number in controllers
        }

    @property
    def bootstrap(self) -> str:
        return ",".join(server.address for server in self.brokers.values())

    def heal(self) -> None:
        """Lets those that are held go on, starts those that do not run, and waits for all. Raises Unavailable.

        From the thread that lives longest, because brokers die with the thread that starts them.
        """
        for server in self.brokers.values():
            server.resume()
        away = [server for server in self.brokers.values() if not server.running]
        for server in away:
            server.launch()
        for server in away:
            server.await_ready()

    def stop(self) -> None:
        """All at once: one that stops in order waits for a controller."""
        for server in self.brokers.values():
            server.kill()

    def move(self, topic: Topic, partition: int, to: int) -> None:
        """Makes that broker the leader of the partition, and the one it returns to, and waits until it is."""
        others = (number for number in self.brokers if number != to)
        reassign(self._running().address, topic.name, partition, (to, *others))
        topic.elect_preferred(partition)
        self.until_leaders(topic, lambda leaders: leaders.get(partition) == to)

    def until_leaders(self, topic: Topic, wanted: Callable[[Mapping[int, int]], bool]) -> None:
        """Until the brokers that led by partition are as wanted, at most 40 s."""
        deadline = time.monotonic() + _PATIENCE
        leaders: Mapping[int, int] = {}
        while not wanted(leaders):
            assert time.monotonic() < deadline, f"leaders are still {leaders}"
            time.sleep(_LOOK_SECONDS)
            with suppress(KafkaException):  # one that is held does not answer: the next time another is asked
                leaders = topic.leaders(_ANSWER_SECONDS)

    def _running(self) -> Server:
        return next(server for server in self.brokers.values() if server.running)


def _server(number: int, controllers: Mapping[int, int], home: Path, work: Path) -> Server:
    voters = ",".join(f"{each}@127.0.0.1:{port}" for each, port in controllers.items())

    def command(place: Place) -> Command:
        address = f"PLAINTEXT://127.0.0.1:{place.port}"
        own = {
            "node.id": str(number),
            "broker.rack": f"az{number}",
            "controller.quorum.voters": voters,
            "listeners": f"{address},CONTROLLER://127.0.0.1:{controllers[number]}",
            "advertised.listeners": address,
        }
        return broker(place, {**_TOGETHER, **own})

    work.mkdir()
    return Server(replace(KAFKA, name=f"kafka broker {number}", command=command), home, work)
