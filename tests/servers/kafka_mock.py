"""librdkafka's mock cluster in a process of its own, and the hand of the test on it.

It has groups, evictions, transactions and the newer consumer protocol, and gives the errors that it is told
to. Its records are kept in memory, the newest five megabytes of a partition; it cannot create or trim topics
by request, knows nothing of times, and does not wake a fetch that waits.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

from confluent_kafka import libversion

from .install import Unavailable
from .mock_cluster import library
from .recipe import Package

_PROGRAM = Path(__file__).with_name("mock_cluster.py")


def _look(_: Path) -> None:
    # Nothing to fetch: it comes with the client, but not in every build of it.
    try:
        library()
    except OSError as error:
        raise Unavailable(str(error)) from error


KAFKA_MOCK = Package("kafka_mock", libversion()[0], origin="confluent_kafka", install=_look)


class Request(IntEnum):
    """Kinds of requests, by their keys in Kafka's protocol."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    CONSUMER_GROUP_HEARTBEAT = 68


class MockKafka:
    """The brokers are numbered from 1; a method that takes a broker takes -1 for all of them."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self.bootstrap = self._output.readline().strip()
        if not self.bootstrap:
            raise Unavailable("the mock cluster did not start")

    def create(self, topic: str, partitions: int = 1, replicas: int = 1) -> None:
        self._call("topic_create", topic, partitions, replicas)

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """Makes that broker the leader; with -1 there is none."""
        self._call("partition_set_leader", topic, partition, broker)

    def coordinate(self, group: str, broker: int) -> None:
        """Moves the group's coordinator to that broker; the others say that they are not."""
        self._call("coordinator_set", "group", group, broker)

    def fail(self, request: Request, *errors: int) -> None:
        """The next requests of that kind are answered with these codes of `KafkaError`, one each.

        A code of 0 lets one through; `KafkaError._TRANSPORT` closes the connection instead of an answer.
        """
        self._call("push_request_errors_array", request, len(errors), list(errors))

    def fail_no_more(self, request: Request) -> None:
        """Takes back what is left of `fail`."""
        self._call("clear_request_errors", request)

    def break_topic(self, topic: str, error: int) -> None:
        """Metadata says that error of the topic from now on; 0 mends it."""
        self._call("topic_set_error", topic, error)

    def down(self, broker: int = -1) -> None:
        """Closes its connections and takes no new ones. What it led stays with it."""
        self._call("broker_set_down", broker)

    def up(self, broker: int = -1) -> None:
        self._call("broker_set_up", broker)

    def delay(self, milliseconds: int, broker: int = -1) -> None:
        """Every answer takes that long from now on."""
        self._call("broker_set_rtt", broker, milliseconds)

    def join_delay(self, milliseconds: int) -> None:
        """How long the first member of an empty group waits for others."""
        self._call("group_initial_rebalance_delay_ms", milliseconds)

    def session(self, timeout: int, heartbeat: int) -> None:
        """Of the newer consumer protocol, in milliseconds: the brokers say it there, not the members."""
        self._call("set_group_consumer_session_timeout_ms", timeout)
        self._call("set_group_consumer_heartbeat_interval_ms", heartbeat)

    def _call(self, name: str, *given: Any) -> None:
        self._input.write(f"{json.dumps([name, *given])}\n")
        self._input.flush()
        answer = self._output.readline().strip()
        assert answer == "0", f"{name}{given}: error {answer or 'of the process'}"


@contextmanager
def mock_kafka(brokers: int = 3) -> Iterator[MockKafka]:
    """Runs for as long as the context is open; the first member of a group does not wait for others.

    Raises Unavailable.
    """
    # Without its own folder among the modules: their names are meant for this package.
    command = (sys.executable, "-P", str(_PROGRAM), str(brokers))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            mock = MockKafka(process)
            mock.join_delay(0)
            yield mock
        finally:
            process.kill()
