"""A relay before a server that answers nobody or says "too many in flight", for as long as a test wants."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_POLL = 0.05
_OVER_LIMIT = json.dumps(
    {"__type": "com.amazonaws.sqs#OverLimit", "message": "Too many messages in flight for this queue"}
).encode()


class Relay:
    """At `url`, in front of another server. While it is `away` it closes connections instead of answering.

    `refused` says when it turned receives away, in monotonic seconds.
    """

    def __init__(self) -> None:
        self.url = ""
        self.away = threading.Event()
        self.over_limit = threading.Event()
        self.refused: list[float] = []
        self._lock = threading.Lock()

    def turns_away(self, operation: str) -> bool:
        if operation != "ReceiveMessage" or not self.over_limit.is_set():
            return False
        with self._lock:
            self.refused.append(time.monotonic())
        return True


@contextmanager
def relay(upstream: str) -> Iterator[Relay]:
    """Serves a relay before the server at `upstream`."""
    running, behind = Relay(), urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if running.away.is_set():
                self.close_connection = True
                return
            if running.turns_away(self.headers.get("X-Amz-Target", "").rpartition(".")[2]):
                self._answer(400, _OVER_LIMIT, {"x-amzn-query-error": "OverLimit;Sender"})
                return
            connection = http.client.HTTPConnection(behind, timeout=30)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                self._answer(answer.status, answer.read(), {})
            except OSError:  # nobody is there
                self.close_connection = True
            finally:
                connection.close()

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            with suppress(OSError):  # the daemon may have ended meanwhile
                self.send_response(status)
                described = {"Content-Type": "application/x-amz-json-1.0", "Content-Length": str(len(body))}
                for name, value in {**described, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
