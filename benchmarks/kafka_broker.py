"""The real broker of the benchmarks of Kafka: Apache Kafka, as the tests have it, and topics that are filled
once.

All contenders of a call of the command read the same topics, each as a group of its own. What is written
stays on the disk until then, in a temporary folder.
"""

from __future__ import annotations

import atexit
import functools
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]

from benchmarks.bodies import body
from benchmarks.processes import ROOT

sys.path.insert(0, str(ROOT / "tests"))  # where the real servers are
from servers import KAFKA, Record, Server, Topic, TopicMaker, installed


class Broker(NamedTuple):
    bootstrap: str
    pid: int


class Filled(NamedTuple):
    """A topic that holds `records` records, spread evenly over partitions and keys; a key has one partition."""

    records: int
    partitions: int
    keys: int
    body_bytes: int


@functools.cache
def broker() -> Broker:
    """Started when first asked for, stopped when the command ends. Raises servers.Unavailable."""
    folder = tempfile.TemporaryDirectory(prefix="benchmark-")
    atexit.register(folder.cleanup)
    server = Server(KAFKA, installed(KAFKA), Path(folder.name))
    server.start()
    atexit.register(server.stop)
    held = [each.pid for each in psutil.net_connections("tcp") if each.laddr.port == server.port and each.pid]
    return Broker(server.address, held[0])


@functools.cache
def filled(wanted: Filled) -> Topic:
    """Written when first asked for."""
    topic = TopicMaker("benchmark")(broker().bootstrap, partitions=wanted.partitions)
    sent = time.monotonic()
    topic.produce(
        (
            Record(
                body(number, sent, wanted.body_bytes).encode(),
                b"key-%d" % (number % wanted.keys),
                partition=number % wanted.keys % wanted.partitions,
            )
            for number in range(wanted.records)
        ),
        **{"linger.ms": 20, "queue.buffering.max.messages": 0, "enable.idempotence": True},
    )
    return topic


def record_names(topic: Topic) -> set[str]:
    """By which the target counts: every offset from the first to the last has a record."""
    starts = topic.starts()
    return {
        f"{topic.name}-{partition}-{offset}"
        for partition, end in topic.ends().items()
        for offset in range(starts[partition], end)
    }
