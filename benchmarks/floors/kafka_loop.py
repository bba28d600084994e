"""The loop over a topic, whoever writes the event: consume, POST, commit, again. One batch is under way at a
time.

A blocking client of HTTP, because nothing else is to be done meanwhile: for an event of 1.5 MB it takes two
thirds of the CPU of one on an event loop. It has no retry, keeps no order per key behind a failure, and polls
too late where the function is slow.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Consumer

from benchmarks.floors.arguments import parse_kafka

Write = Callable[[Sequence[Any], str, str], bytes]
"""An event of these messages of confluent_kafka, of a topic, from the brokers at that address."""


def post(function: http.client.HTTPConnection, path: str, event: bytes) -> None:
    function.request("POST", path, event, {"Content-Type": "application/json"})
    answer = function.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"the function answered {answer.status}")


def run(write: Write) -> None:
    """The first record is waited for, what lies ready behind it is taken along."""
    o = parse_kafka()
    function, consumer = http.client.HTTPConnection(o.host), Consumer(o.consumer)
    consumer.subscribe([o.topic])
    while True:
        messages = consumer.consume(1, 1.0)
        if messages:
            messages += consumer.consume(o.batch - 1, 0)
            post(function, o.path, write(messages, o.topic, o.bootstrap))
            consumer.commit(asynchronous=False)
