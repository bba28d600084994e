"""A steady stream of records into a topic, by a process of its own: `python -m benchmarks.kafka_offer`.

It ends when the broker has all of them. What is late by the clock is sent at once.
"""

from __future__ import annotations

import argparse
import time

from confluent_kafka import Producer

from benchmarks.bodies import body
from benchmarks.offering import TICK_SECONDS

SECONDS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "topic"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("first", "count", "rate", "keys", "partitions", "size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    o = parser.parse_args()
    producer = Producer({"bootstrap.servers": o.bootstrap, "acks": "all"})
    producer.list_topics(o.topic, timeout=SECONDS)  # connects
    start = time.monotonic()
    for turn in range(o.count):
        while (early := start + turn / o.rate - time.monotonic()) > 0:
            producer.poll(min(early, TICK_SECONDS))
        number = o.first + turn
        key, value = number % o.keys, body(number, time.monotonic(), o.size)
        producer.produce(o.topic, value.encode(), b"key-%d" % key, partition=key % o.partitions)
    if producer.flush(SECONDS):
        raise SystemExit("the broker did not take them")


if __name__ == "__main__":
    main()
