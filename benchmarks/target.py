"""The function of a benchmark: answers every POST with `{}` and writes down what it saw, for the oracle.

Each record is checked as it comes: all fields of a Lambda SQS event, and a body whose MD5 is the one SQS
gave. So a loop that is fast because it leaves something out does not pass. Run as
`python -m benchmarks.target`; the port is the first line it prints. `--stuck` never answers an event.

    POST /answer {"status": 500}   what events are answered with from now on; failed ones are not written down
    GET /totals   GET /ids   GET /latency/N (percentiles over the bodies numbered N and up)
    GET /shares (messages by queue)   GET /arrivals (seconds of the monotonic clock, one for each event)
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from benchmarks.figures import latency_summary
from benchmarks.wire import Request, RequestReader, response, serve, server_arguments

REQUIRED = {
    "messageId",
    "receiptHandle",
    "body",
    "attributes",
    "messageAttributes",
    "md5OfBody",
    "eventSource",
    "eventSourceARN",
    "awsRegion",
}
OPTIONAL = {"md5OfMessageAttributes"}
SYSTEM_ATTRIBUTES = {
    "ApproximateReceiveCount",
    "SentTimestamp",
    "SenderId",
    "ApproximateFirstReceiveTimestamp",
}


def well_formed(record: dict[str, Any]) -> bool:
    names = set(record)
    body: str = record.get("body", "")
    return (
        names >= REQUIRED
        and names <= REQUIRED | OPTIONAL
        and record["attributes"].keys() >= SYSTEM_ATTRIBUTES
        and record["eventSource"] == "aws:sqs"
        and hashlib.md5(body.encode(), usedforsecurity=False).hexdigest() == record["md5OfBody"]
    )


class Ledger:
    """Everything that arrived: which message how often, from which queue, how old."""

    def __init__(self) -> None:
        self.deliveries: Counter[str] = Counter()
        self.shares: Counter[str] = Counter()
        self.arrivals: list[float] = []
        self.ages: list[tuple[int, float]] = []
        self.malformed = 0

    def note(self, event: bytes, arrived: float) -> None:
        self.arrivals.append(arrived)
        for record in orjson.loads(event)["Records"]:
            if not well_formed(record):
                self.malformed += 1
                continue
            self.deliveries[record["messageId"]] += 1
            self.shares[record["eventSourceARN"]] += 1
            said = orjson.loads(record["body"])
            self.ages.append((said["n"], arrived - said["sent"]))

    def totals(self) -> dict[str, int]:
        return {
            "posts": len(self.arrivals),
            "records": len(self.ages),
            "distinct": len(self.deliveries),
            "queues": len(self.shares),
            "malformed": self.malformed,
        }

    def show(self, path: str) -> bytes:
        if path == "/totals":
            return orjson.dumps(self.totals())
        if path == "/ids":
            return orjson.dumps(list(self.deliveries))
        if path == "/shares":
            return orjson.dumps(self.shares)
        if path == "/arrivals":
            return orjson.dumps(self.arrivals)
        first = int(path.removeprefix("/latency/"))
        return orjson.dumps(latency_summary([age for number, age in self.ages if number >= first]))


@dataclass(slots=True)
class Manner:
    """How events are answered: after how many seconds, if at all, and with which status."""

    delay: float | None
    status: int = 200


class Connection(asyncio.Protocol):
    def __init__(self, ledger: Ledger, manner: Manner) -> None:
        self._ledger = ledger
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
            self._write(200, self._ledger.show(request.path))
        elif request.path == "/answer":
            manner.status = orjson.loads(request.body)["status"]
            self._write(200, b"{}")
        else:
            if manner.status == 200:
                self._ledger.note(request.body, arrived)
            if manner.delay is not None:
                asyncio.get_running_loop().call_later(manner.delay, self._write, manner.status, b"{}")

    def _write(self, status: int, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(response(status, answer))


def main() -> None:
    parser = server_arguments("A function that writes down what it saw.")
    parser.add_argument("--stuck", action="store_true", help="never answer an event")
    options = parser.parse_args()
    ledger = Ledger()
    manner = Manner(None if options.stuck else options.delay)

    def make(_: int) -> Callable[[], Connection]:
        return lambda: Connection(ledger, manner)

    serve(make, options.port)


if __name__ == "__main__":
    main()
