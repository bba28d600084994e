"""A stand-in for Kinesis that costs far less than its clients: shards with lineage over the AWS JSON protocol.

It keeps records and shards as Kinesis does (splits, merges, closed shards with children, ten-megabyte pages,
iterators that expire), checks no signature, and with `--enforce` refuses what exceeds a shard's quota. Beside the
service's own operations it has a control path, which no client under test uses:

    POST /control/preload {"StreamName", "Count", "BodyBytes", "Keys", "First"}   fills a stream without a client
    POST /control/trim {"StreamName", "Count"}                                    ends the retention of the oldest
    POST /control/expire {}                                                       ends all iterators
    GET  /control/totals                                                          what was sent, read and refused
    GET  /control/ids                                                             every record, as events name it

Run as `python -m benchmarks.fake_kinesis`; the port is the first line it prints.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson

from benchmarks.kinesis_service import Service
from benchmarks.kinesis_shard import KinesisError
from benchmarks.wire import Request, RequestReader, response, serve, server_arguments

AWS_JSON = b"application/x-amz-json-1.1"


class Connection(asyncio.Protocol):
    def __init__(self, service: Service, delay: float) -> None:
        self._service = service
        self._delay = delay
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        for request in self._reader.feed(data):
            answer = self._answer(request)
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._write, answer)
            else:
                self._write(answer)

    def _answer(self, request: Request) -> bytes:
        arguments = orjson.loads(request.body) if request.body else {}
        try:
            if request.operation:
                return response(200, self._service.operate(request.operation, arguments), AWS_JSON)
            answer = self._service.control(request.path, arguments)
            return response(404, b"{}") if answer is None else response(200, answer)
        except KinesisError as error:
            return response(400, orjson.dumps({"__type": error.code, "message": str(error)}), AWS_JSON)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


def main() -> None:
    arguments = server_arguments("A fast stand-in for Kinesis.")
    arguments.add_argument("--enforce", action="store_true", help="refuse reads beyond a shard's quota")
    options = arguments.parse_args()
    service = Service(enforce=options.enforce)

    def make(_: int) -> Callable[[], Connection]:
        return lambda: Connection(service, options.delay)

    serve(make, options.port)


if __name__ == "__main__":
    main()
