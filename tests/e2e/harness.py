"""What an end-to-end test is made of: the daemon as a process, a function behind HTTP, and an oracle.

The oracle knows what was sent, asks the function's journal what arrived, and looks into the queues; what the
engine counts is never believed. Everything is awaited by its signal (a log line, an answer, a queue's depth).
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from servers import Queue

T = TypeVar("T")
ESM = (sys.executable, "-m", "esm")

_POLL = 0.05
_PATIENCE = 30.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def until(look: Callable[[], T], what: str, within: float = _PATIENCE) -> T:
    """What `look` gives as soon as it is true; fails naming `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(_POLL)


def esm(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """One command, run to its end."""
    return subprocess.run(
        [*ESM, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        env={**os.environ, **environ},
    )


class Daemon:
    """`esm run` as a process. Its configuration listens on port 0; where, the log says."""

    def __init__(self, config: Path, log: Path) -> None:
        self._log = log
        self._from = log.stat().st_size if log.exists() else 0
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [*ESM, "run", "--config", str(config), "--log-format", "json"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def lines(self, message: str) -> list[dict[str, Any]]:
        """The log lines of this process with that message."""
        text = self.output
        return [line for line in map(_parsed, text.splitlines()) if line.get("message") == message]

    @property
    def output(self) -> str:
        """Everything that this process wrote."""
        return self._log.read_bytes()[self._from :].decode(errors="replace")

    @property
    def url(self) -> str:
        """Where it serves; waits until it is ready."""
        ready = until(self._ready_or_ended, f"ready\n{self.output}")
        assert ready, f"ended with {self.process.returncode}:\n{self.output}"
        return str(ready["status"]).removesuffix("/status")

    def status(self, mapping: str) -> dict[str, Any]:
        """What `/status` says of a mapping."""
        return dict(json.loads(self.get("/status"))["mappings"][mapping])

    def get(self, path: str) -> str:
        """The body of an answer; raises `HTTPError` for a bad status."""
        with _DIRECT.open(f"{self.url}{path}", timeout=5) as response:
            return str(response.read().decode())

    def signal(self, number: signal.Signals) -> None:
        """To the daemon alone, not to its workers."""
        self.process.send_signal(number)

    def wait(self, within: float = _PATIENCE) -> int:
        """Its exit code."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within:g} s:\n{self.output}") from None

    def kill(self) -> None:
        """At once, with its workers, as a crash of the machine would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _ready_or_ended(self) -> dict[str, Any] | None:
        found = self.lines("ready")
        assert found or self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output}"
        return found[0] if found else None


@contextmanager
def daemon(config: Path) -> Iterator[Daemon]:
    """A daemon that does not outlive the test; started again with the same configuration, it logs on."""
    started = Daemon(config, config.with_suffix(".log"))
    try:
        yield started
    finally:
        started.kill()


@dataclass(frozen=True)
class Call:
    """One invocation as the function saw it."""

    at: float
    bodies: tuple[str, ...]
    message_ids: tuple[str, ...]
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
    succeeded and did not report it as failed.
    """

    def __init__(self) -> None:
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
        records = event["Records"]
        call = Call(
            at=time.monotonic(),
            bodies=tuple(record["body"] for record in records),
            message_ids=tuple(record["messageId"] for record in records),
            receives=tuple(int(record["attributes"]["ApproximateReceiveCount"]) for record in records),
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
        reported = _parsed(answer.body.decode() or '{"batchItemFailures": []}').get("batchItemFailures")
        if answer.status != 200 or "X-Amz-Function-Error" in answer.headers or reported is None:
            return set(call.bodies)
        ids = {failure["itemIdentifier"] for failure in reported}
        return {body for body, id_ in zip(call.bodies, call.message_ids, strict=True) if id_ in ids}

    def _note(self, call: Call, answer: Answer) -> None:
        failed = self.failed(call, answer)
        fine = [body for body in call.bodies if body not in failed]
        self.done.update(fine)
        self.order.extend(fine)


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
    served = served or Function()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            served.payloads.append(body)
            answer = served.called(json.loads(body), dict(self.headers.items()))
            with suppress(OSError):  # the daemon may have been killed meanwhile
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", port), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/invoke"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL})
    thread.start()
    try:
        yield served
    finally:
        served.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Oracle:
    """Knows what was sent to a queue and where it can be."""

    def __init__(self, client: Any, queue: Queue) -> None:
        self._client = client
        self.queue = queue
        self.sent: list[str] = []

    def send(self, bodies: Sequence[str], group: str | None = None) -> None:
        """Sends these, which have to be different from all others, in order."""
        for start in range(0, len(bodies), 10):
            entries = [_entry(str(number), body, group) for number, body in enumerate(bodies[start : start + 10])]
            answer = self._client.send_message_batch(QueueUrl=self.queue.url, Entries=entries)
            assert not answer.get("Failed"), answer
        self.sent += bodies

    def depth(self) -> tuple[int, int]:
        """How many messages are visible and in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self._client.get_queue_attributes(QueueUrl=self.queue.url, AttributeNames=names)["Attributes"]
        return int(told[names[0]]), int(told[names[1]])

    def drained(self, within: float = _PATIENCE) -> None:
        """Waits until the queue holds nothing any more."""
        until(lambda: self.depth() == (0, 0), f"{self.queue.name} empty", within)

    def waiting(self) -> list[str]:
        """Takes out what the queue holds, what is in flight included when it comes back."""
        return self._taken(self.queue.url)

    def dead(self) -> list[str]:
        """Takes out the dead letters."""
        assert self.queue.dead_letters is not None
        return self._taken(self.queue.dead_letters.url)

    def receives(self) -> list[int]:
        """Takes out what the queue holds; how often each had been received by then, this time included."""
        counts: list[int] = []
        self._taken(self.queue.url, counts)
        return counts

    def _taken(self, url: str, counts: list[int] | None = None) -> list[str]:
        bodies: list[str] = []
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def empty() -> bool:
            answer = self._client.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["ApproximateReceiveCount"]
            )
            for message in answer.get("Messages", ()):
                bodies.append(message["Body"])
                if counts is not None:
                    counts.append(int(message["Attributes"]["ApproximateReceiveCount"]))
                self._client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            told = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            return not answer.get("Messages") and not any(int(told[name]) for name in names)

        until(empty, f"{url} taken out")
        return bodies


def _entry(id_: str, body: str, group: str | None) -> dict[str, str]:
    entry = {"Id": id_, "MessageBody": body}
    if group is not None:
        dedup = re.sub(r"[^A-Za-z0-9_-]", "-", body)
        entry |= {"MessageGroupId": group, "MessageDeduplicationId": f"{group}-{dedup}"}
    return entry


def _parsed(line: str) -> dict[str, Any]:
    """Functions print beside the log: what is no JSON is no line of ours."""
    try:
        parsed = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def write_config(path: Path, endpoint_url: str, mappings: dict[str, Any], **top: Any) -> Path:
    """A configuration for an SQS server at `endpoint_url`; JSON is YAML too."""
    config = {
        "aws": {"region": "us-east-1", "endpoint_url": endpoint_url},
        "server": {"listen": "127.0.0.1:0"},
        "mappings": mappings,
        **top,
    }
    path.write_text(json.dumps(config, indent=2))
    return path


def mapping(queue: Queue, target: Any, **options: Any) -> dict[str, Any]:
    """A mapping with short long polls, so that a daemon stops soon."""
    return {"source": {"type": "sqs", "arn": queue.arn, "wait_time_seconds": 1}, "target": target, **options}
