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

from collections.abc import Callable

import orjson

from benchmarks.kinesis_service import Service
from benchmarks.kinesis_shard import KinesisError
from benchmarks.wire import Connection, Request, response, serve, server_arguments

AWS_JSON = b"application/x-amz-json-1.1"


def answering(service: Service) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        arguments = orjson.loads(request.body) if request.body else {}
        try:
            if request.operation:
                return response(200, service.operate(request.operation, arguments), AWS_JSON)
            said = service.control(request.path, arguments)
            return response(404, b"{}") if said is None else response(200, said)
        except KinesisError as error:
            return response(400, orjson.dumps({"__type": error.code, "message": str(error)}), AWS_JSON)

    return answer


def main() -> None:
    arguments = server_arguments("A fast stand-in for Kinesis.")
    arguments.add_argument("--enforce", action="store_true", help="refuse reads beyond a shard's quota")
    options = arguments.parse_args()
    answer = answering(Service(enforce=options.enforce))

    def make(_: int) -> Callable[[], Connection]:
        return lambda: Connection(answer, options.delay)

    serve(make, options.port)


if __name__ == "__main__":
    main()
