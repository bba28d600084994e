"""The loop over a topic by someone who counts: pybase64, and one call of orjson for the whole event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from confluent_kafka import TIMESTAMP_CREATE_TIME
from pybase64 import b64encode_as_string

from benchmarks.floors.kafka_loop import run


def record(message: Any, topic: str, partition: int) -> dict[str, Any]:
    kind, stamp = message.timestamp()
    key, value = message.key(), message.value()
    return {
        "topic": topic,
        "partition": partition,
        "offset": message.offset(),
        "timestamp": stamp,
        "timestampType": "CREATE_TIME" if kind == TIMESTAMP_CREATE_TIME else "LOG_APPEND_TIME",
        "key": None if key is None else b64encode_as_string(key),
        "value": None if value is None else b64encode_as_string(value),
        "headers": [{name: list(said)} for name, said in message.headers() or ()],
    }


def event(messages: Sequence[Any], topic: str, bootstrap: str) -> bytes:
    partitions: dict[int, list[dict[str, Any]]] = {}
    for message in messages:
        partition = message.partition()
        partitions.setdefault(partition, []).append(record(message, topic, partition))
    records = {f"{topic}-{partition}": mine for partition, mine in partitions.items()}
    return orjson.dumps({"eventSource": "SelfManagedKafka", "bootstrapServers": bootstrap, "records": records})


if __name__ == "__main__":
    run(event)
