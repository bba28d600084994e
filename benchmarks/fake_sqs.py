"""A stand-in for SQS that costs far less than its clients: standard queues over the AWS JSON protocol.

It keeps state as SQS does (visibility, receive counts, long polls) and checks no signature. Beside the
service's own operations it has a control path for the oracle, which no client under test uses:

    POST /control/preload {"QueueName", "Count", "BodyBytes"}   fills a queue without a client
    POST /control/offer {..., "PerSecond"}                      the same, but at a steady rate
    POST /control/release {}                                    answers every open long poll at once
    GET  /control/totals                                        what was sent, received, deleted
    GET  /control/ids                                           every message id ever given out

Run as `python -m benchmarks.fake_sqs`; the port is the first line it prints.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson

from benchmarks.sqs_service import Abandon, Service
from benchmarks.standard_queue import SqsError
from benchmarks.wire import Request, RequestReader, response, serve, server_arguments

AWS_JSON = b"application/x-amz-json-1.0"


class Connection(asyncio.Protocol):
    def __init__(self, service: Service, delay: float) -> None:
        self._service = service
        self._delay = delay
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._abandon: Abandon | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        if self._abandon is not None:
            self._abandon()

    def data_received(self, data: bytes) -> None:
        for request in self._reader.feed(data):
            self._answer(request)

    def _answer(self, request: Request) -> None:
        arguments = orjson.loads(request.body) if request.body else {}
        try:
            if request.operation:
                self._abandon = self._service.operate(request.operation, arguments, self._reply)
            elif (answer := self._service.control(request.path, arguments)) is not None:
                self._write(response(200, answer))
            else:
                self._write(response(404, b"{}"))
        except SqsError as error:
            shape = {"__type": f"com.amazonaws.sqs#{error.code}", "message": str(error)}
            self._write(response(400, orjson.dumps(shape), AWS_JSON))

    def _reply(self, answer: bytes) -> None:
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._write, response(200, answer, AWS_JSON))
        else:
            self._write(response(200, answer, AWS_JSON))

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


def main() -> None:
    options = server_arguments("A fast stand-in for SQS.").parse_args()

    def make(port: int) -> Callable[[], Connection]:
        service = Service(port)
        return lambda: Connection(service, options.delay)

    serve(make, options.port)


if __name__ == "__main__":
    main()
