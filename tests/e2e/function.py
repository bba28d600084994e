"""A function behind HTTP that keeps a journal, and answers as the test wants."""

import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_POLL = 0.05
_PATIENCE = 30.0


@dataclass(frozen=True)
class Message:
    """One record of an event: what it holds, what an answer calls it, and its receives where a source has them."""

    body: str
    id: Any
    receives: int = 0


def sqs_message(record: dict[str, Any]) -> Message:
    return Message(record["body"], record["messageId"], int(record["attributes"]["ApproximateReceiveCount"]))


@dataclass(frozen=True)
class Call:
    """One invocation as the function saw it."""

    at: float
    bodies: tuple[str, ...]
    message_ids: tuple[Any, ...]
    receives: tuple[int, ...]
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What the function answers with."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Function:
    """A function behind HTTP with a journal.

    `behave` decides about each call; it may block, on `gate` for instance. A body is `done` when the call
    succeeded and did not report it as failed. `reads` understands the records of the source.
    """

    def __init__(self, reads: Callable[[dict[str, Any]], Message] = sqs_message) -> None:
        self._reads = reads
        self.behave: Callable[[Call], Answer] = lambda _: Answer()
        self.gate = threading.Event()
        self.calls: list[Call] = []
        self.payloads: list[bytes] = []
        self.done: Counter[str] = Counter()
        self.order: list[str] = []
        self.url = ""
        self._lock = threading.Lock()

    def held(self, _: Call) -> Answer:
        """A behaviour: answers once the gate is open."""
        assert self.gate.wait(_PATIENCE)
        return Answer()

    def called(self, event: dict[str, Any], headers: dict[str, str]) -> Answer:
        """Notes the call, lets `behave` decide, notes what that means."""
        messages = [self._reads(record) for record in _records(event)]
        call = Call(
            at=time.monotonic(),
            bodies=tuple(message.body for message in messages),
            message_ids=tuple(message.id for message in messages),
            receives=tuple(message.receives for message in messages),
            headers=headers,
        )
        with self._lock:
            self.calls.append(call)
        answer = self.behave(call)
        with self._lock:
            self._note(call, answer)
        return answer

    @staticmethod
    def failed(call: Call, answer: Answer) -> set[str]:
        """The bodies that this answer leaves to be delivered again; one that is no JSON leaves all."""
        if answer.status != 200 or "X-Amz-Function-Error" in answer.headers:
            return set(call.bodies)
        try:
            reported = json.loads(answer.body or b"{}")
        except json.JSONDecodeError:
            return set(call.bodies)
        ids = [failure["itemIdentifier"] for failure in reported.get("batchItemFailures", [])]
        return {body for body, id_ in zip(call.bodies, call.message_ids, strict=True) if id_ in ids}

    def _note(self, call: Call, answer: Answer) -> None:
        failed = self.failed(call, answer)
        fine = [body for body in call.bodies if body not in failed]
        self.done.update(fine)
        self.order.extend(fine)


def _records(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of Kafka stand below their partition."""
    if "Records" in event:
        return list(event["Records"])
    return [record for records in event["records"].values() for record in records]


def failing(call: Call, *bodies: str) -> Answer:
    """An answer that reports these as failed."""
    ids = [id_ for body, id_ in zip(call.bodies, call.message_ids, strict=True) if body in bodies]
    return Answer(body=json.dumps({"batchItemFailures": [{"itemIdentifier": id_} for id_ in ids]}).encode())


class _Server(ThreadingHTTPServer):
    """Ends the connections that are kept alive too: a function that is down answers nobody."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[Any] = set()

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A daemon that was killed resets its connections: no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        super().server_close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def function(served: Function | None = None, port: int = 0) -> Iterator[Function]:
    """A function that is being served; its gate is opened at the end, so that no call is left hanging.

    One that was served before goes on with its journal; `port` 0 is any free one.
    """
    running = served or Function()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            running.payloads.append(body)
            answer = running.called(json.loads(body), dict(self.headers.items()))
            with suppress(OSError):  # the daemon may have been killed meanwhile
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", port), Handler)
    running.url = f"http://127.0.0.1:{server.server_port}/invoke"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL})
    thread.start()
    try:
        yield running
    finally:
        running.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
