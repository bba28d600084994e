#!/usr/bin/env python3
"""A sample function: an HTTP server that keeps the engine's contract, with the standard library alone.

The engine POSTs the event that a Lambda function would get. An answer of 2xx says that the records were processed,
except those that `batchItemFailures` names: they stay in the queue and come again after its visibility timeout.
Any record may come twice, so what a real function does has to be safe to repeat.
"""

import argparse
import json
import logging
import signal
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

log = logging.getLogger("function")


def process(record: dict[str, Any]) -> None:
    """Do the work for one message. Raises ValueError for a message that can never be processed."""
    if record["body"] == "poison":
        raise ValueError("poison")
    log.info("processed %s", record["body"])


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """The partial batch response to an SQS event.

    What follows a failure in its message group is reported as failed too, unprocessed: what is not reported is
    deleted, and a message that is processed now would have overtaken the one that comes again.
    """
    failures = []
    broken = set()
    for record in event["Records"]:
        order = ordered_with(record)
        if order in broken or not succeeds(record):
            broken.add(order)
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def ordered_with(record: dict[str, Any]) -> str:
    """What is equal for messages whose order counts: the group in a FIFO queue, else nothing is."""
    if record["eventSourceARN"].endswith(".fifo"):
        return str(record["attributes"]["MessageGroupId"])
    return str(record["messageId"])


def succeeds(record: dict[str, Any]) -> bool:
    try:
        process(record)
    except ValueError as error:
        log.warning("failed %s: %s", record["messageId"], error)
        return False
    return True


class Handler(BaseHTTPRequestHandler):
    """One call of the engine. HTTP/1.1, so that its connection serves the next call too."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(HTTPStatus.OK, {"status": "ok"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            answer = handle(json.loads(body))
        except Exception as error:
            log.exception("the event was not understood")
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"errorMessage": str(error)})
        else:
            self._answer(HTTPStatus.OK, answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        log.debug(format, *args)

    def _answer(self, status: HTTPStatus, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Ends with its calls finished, not cut off."""

    daemon_threads = False
    request_queue_size = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:8080", help="host:port")
    host, _, port = parser.parse_args().listen.rpartition(":")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with Server((host, int(port)), Handler) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever()


if __name__ == "__main__":
    main()
