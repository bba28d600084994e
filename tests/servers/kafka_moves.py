"""Moves the replicas of a partition: the one request of Kafka's protocol that its Python client cannot make.

AlterPartitionReassignments (key 45, version 0), as https://kafka.apache.org/protocol describes it. Any broker
takes it and passes it on to the controller.
"""

import socket
import struct
from collections.abc import Sequence

_KEY, _VERSION = 45, 0
_TIMEOUT_SECONDS = 10.0
_NO_TAGS = b"\x00"


class Refused(Exception):
    """The controller did not do it; the text has Kafka's error code and what it said."""


def reassign(address: str, topic: str, partition: int, replicas: Sequence[int]) -> None:
    """Gives a partition these brokers, of which the first is its preferred leader. Raises Refused, OSError."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT_SECONDS) as connection:
        request = _request(topic, partition, replicas)
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answer:
            (size,) = struct.unpack(">i", answer.read(4))
            _check(answer.read(size))


def _request(topic: str, partition: int, replicas: Sequence[int]) -> bytes:
    client = b"tests"
    header = struct.pack(">hhih", _KEY, _VERSION, 0, len(client)) + client + _NO_TAGS
    brokers = _count(replicas) + b"".join(struct.pack(">i", broker) for broker in replicas)
    partitions = _count([partition]) + struct.pack(">i", partition) + brokers + _NO_TAGS
    topics = _count([topic]) + _count(topic) + topic.encode() + partitions + _NO_TAGS
    return header + struct.pack(">i", int(_TIMEOUT_SECONDS * 1000)) + topics + _NO_TAGS


def _count(of: Sequence[object]) -> bytes:
    # A compact length is one more than the length; below 128 it is one byte.
    return bytes([len(of) + 1])


def _check(answer: bytes) -> None:
    """All errors of an answer are zero: its own, and the one behind the only topic and partition."""
    body = answer[4 + 1 + 4 :]  # behind correlation, tags and throttle time
    (code,) = struct.unpack_from(">h", body)
    if code:
        raise Refused(f"error {code}: {body!r}")
    topic = body[2 + 1 :]  # no text of an error
    name = topic[1]
    (code,) = struct.unpack_from(">h", topic, 1 + name + 1 + 4)
    if code:
        raise Refused(f"error {code} of the partition: {topic!r}")
