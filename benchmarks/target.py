"""The function of a benchmark: answers every POST with `{}` and writes down what it saw (`arrivals.py`).

Run as `python -m benchmarks.target`; the port is the first line it prints. `--stuck` never answers an event,
`--spread` makes each answer late by something between nothing and so many seconds, the same in each run.

    POST /answer {"status": 500}   what events are answered with from now on; failed ones are not written down
    GET /totals   GET /ids   GET /latency/N (percentiles over the bodies numbered N and up)
    GET /shares (records by source)   GET /arrivals (seconds of the monotonic clock, one for each event)
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from benchmarks.arrivals import Arrivals, good_ones
from benchmarks.kafka_arrivals import good_kafka_ones
from benchmarks.wire import Request, RequestReader, response, serve, server_arguments


@dataclass(slots=True)
class Manner:
    """How events are answered: after how many seconds, None for never, and with which status."""

    delay: Callable[[], float | None]
    status: int = 200


def spread(seconds: float) -> Callable[[], float]:
    """Whole milliseconds up to so many: timers of the event loop have no others."""
    chance = random.Random(0)
    return lambda: chance.randint(0, round(seconds * 1000)) / 1000


class Connection(asyncio.Protocol):
    def __init__(self, arrivals: Arrivals, manner: Manner) -> None:
        self._arrivals = arrivals
        self._manner = manner
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        arrived = time.monotonic()
        for request in self._reader.feed(data):
            self._answer(request, arrived)

    def _answer(self, request: Request, arrived: float) -> None:
        manner = self._manner
        if request.method == b"GET":
            self._write(200, self._arrivals.show(request.path))
        elif request.path == "/answer":
            manner.status = orjson.loads(request.body)["status"]
            self._write(200, b"{}")
        else:
            if manner.status == 200:
                self._arrivals.note(request.body, arrived)
            delay = manner.delay()
            if delay is not None:
                asyncio.get_running_loop().call_later(delay, self._write, manner.status, b"{}")

    def _write(self, status: int, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(response(status, answer))


def manner_of(options: argparse.Namespace) -> Manner:
    if options.stuck:
        return Manner(lambda: None)
    return Manner(spread(options.spread) if options.spread else lambda: options.delay)


def main() -> None:
    parser = server_arguments("A function that writes down what it saw.")
    parser.add_argument("--kafka", action="store_true", help="events are those of Kafka")
    parser.add_argument("--stuck", action="store_true", help="never answer an event")
    parser.add_argument("--spread", type=float, default=0.0, help="seconds: each answer is late by up to so many")
    options = parser.parse_args()
    arrivals, manner = Arrivals(good_kafka_ones if options.kafka else good_ones), manner_of(options)

    def make(_: int) -> Callable[[], Connection]:
        return lambda: Connection(arrivals, manner)

    serve(make, options.port)


if __name__ == "__main__":
    main()
