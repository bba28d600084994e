"""`esm status` against engines, impostors and nobody."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from esm.cli.app import app
from esm.model import Outcome
from esm.runtime.happenings import Invoked, MappingState, State
from esm.runtime.status.board import StatusBoard
from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.values import Live

RUNNER = CliRunner()
Serve = Callable[[int, bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[HTTPServer] = []

    def start(status: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/status" else 404)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def document() -> bytes:
    from esm.api.view import status_document

    board = StatusBoard(lambda: 1_700_000_000.0)
    board.tell(State("orders", MappingState.ENABLED))
    outcome = Invoked(
        "orders",
        batch_id="b",
        attempt=1,
        records=3,
        failed=3,
        outcome=Outcome.FUNCTION_ERROR,
        ages=(0.0,),
        duration=0.0,
        why="[red]KeyError[/red]: 'x'",
    )
    board.tell(outcome)
    return json.dumps(status_document("1", 1.0, board.mappings())).encode()


def test_a_table_with_the_last_error_as_it_is(serve: Serve) -> None:
    ended = RUNNER.invoke(app, ["status", "--url", serve(200, document())])
    assert ended.exit_code == 0, ended.output
    assert "PROBLEM" in ended.stdout
    assert "[red]KeyError[/red]: 'x'" in ended.stdout
    assert "\x1b" not in ended.stdout


def test_a_target_that_is_left_alone_is_told_of(serve: Serve) -> None:
    told = json.loads(document())
    assert "circuit" not in RUNNER.invoke(app, ["status", "--url", serve(200, json.dumps(told).encode())]).stdout
    told["mappings"]["orders"]["circuit_open"] = True
    ended = RUNNER.invoke(app, ["status", "--url", serve(200, json.dumps(told).encode())])
    assert (
        "orders: the circuit of its target is open: only probes are sent until one is answered\n" in ended.stdout
    )


def with_lanes() -> bytes:
    from esm.api.view import status_document

    board = StatusBoard(lambda: 1_700_000_000.0)
    stuck = LaneFigures(at=10**55, behind=7_200.0, age=3.25, attempts=4, held_by="r-9", key="[red]k", crowded=True)
    lanes = {"s-1": stuck, "s-2": LaneFigures(stalled="the store fails: disk full", crowded=True, held_by="r-1")}
    board.attach("stream", lambda: Live(lanes=lanes))
    return json.dumps(status_document("1", 1.0, board.mappings())).encode()


def test_lanes_are_shown_on_request_with_what_keeps_them(serve: Serve) -> None:
    url = serve(200, with_lanes())
    assert "s-1" not in RUNNER.invoke(app, ["status", "--url", url]).stdout
    ended = RUNNER.invoke(app, ["status", "--lanes", "--url", url])
    assert ended.exit_code == 0, ended.output
    first, second = (line for line in ended.stdout.splitlines() if "s-1" in line or "s-2" in line)
    for text in ("stream", "Crowded", str(10**55), "7,200.0 s", "3.2 s", "4", "record r-9 of key [red]k"):
        assert text in first
    assert "Stalled" in second
    assert "the store fails: disk full; record r-1" in second


def test_the_name_of_a_lane_is_never_cut(serve: Serve) -> None:
    """It goes into `esm state skip`; a long text beside it takes room away."""
    told = json.loads(with_lanes())
    lane = told["mappings"]["stream"]["lanes"].pop("s-2")
    name = "2026-11-21T21:11:24.042/shardId-00000000000000000000-00000000"
    told["mappings"]["stream"]["lanes"][name] = {**lane, "stalled": "no destination takes what was given up " * 9}
    ended = RUNNER.invoke(app, ["status", "--lanes", "--url", serve(200, json.dumps(told).encode())])
    assert "…" not in ended.stdout


def test_lanes_that_are_kept_are_told_of_unasked(serve: Serve) -> None:
    """A mapping whose function reports the same record again and again has no PROBLEM as its last result."""
    ended = RUNNER.invoke(app, ["status", "--url", serve(200, with_lanes())])
    assert "stream: lanes: 1 Crowded, 1 Stalled of 2, oldest record 3.2 s; see --lanes\n" in ended.stdout
    told = json.loads(with_lanes())
    for lane in told["mappings"]["stream"]["lanes"].values():
        lane["state"] = "Reading"
    assert (
        "see --lanes" not in RUNNER.invoke(app, ["status", "--url", serve(200, json.dumps(told).encode())]).stdout
    )


def test_what_waits_in_a_topic_is_said_over_its_partitions_and_of_each(serve: Serve) -> None:
    from esm.api.view import status_document

    board = StatusBoard(lambda: 1_700_000_000.0)
    lanes = {"t-0": LaneFigures(at=9, written=4, end=1_005), "t-1": LaneFigures(end=234)}
    board.attach("topic", lambda: Live(lanes=lanes))
    body = json.dumps(status_document("1", 1.0, board.mappings())).encode()
    whole, *each = RUNNER.invoke(app, ["status", "--lanes", "--url", serve(200, body)]).stdout.split("Lane ")
    assert re.search(r"topic .* 1,234 │ +- │ +0 │ +0 │ +- │", whole)
    assert re.search(r"t-0 .* 1,000 │.*\n.*t-1 .* 234 │", "".join(each))


def test_an_engine_without_lanes_shows_none(serve: Serve) -> None:
    told = json.loads(document())
    del told["mappings"]["orders"]["lanes"]
    ended = RUNNER.invoke(app, ["status", "--lanes", "--url", serve(200, json.dumps(told).encode())])
    assert ended.exit_code == 0, ended.output


def test_the_address_may_lack_its_scheme_and_end_in_a_slash(serve: Serve) -> None:
    url = serve(200, document()).removeprefix("http://") + "/"
    assert RUNNER.invoke(app, ["status", "--url", url]).exit_code == 0


def test_json_is_what_the_engine_said(serve: Serve) -> None:
    ended = RUNNER.invoke(app, ["status", "--json"], env={"ESM_URL": serve(200, document())})
    assert ended.stdout.encode() == document() + b"\n"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"", "no engine (status 404)"),
        (200, b"<html>", "no engine (no JSON)"),
        (200, b"\xff", "no engine (no JSON)"),
        (200, b"[]", "no engine (no mappings)"),
        (200, b"{}", "no engine (no mappings)"),
    ],
)
def test_whatever_is_no_engine_is_exit_code_1(serve: Serve, status: int, body: bytes, said: str) -> None:
    ended = RUNNER.invoke(app, ["status", "--url", serve(status, body)])
    assert ended.exit_code == 1
    assert said in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "127.0.0.1:9", "http://no.such.host.invalid", "ftp://x", "::"]
)
def test_nobody_there_is_exit_code_1(url: str) -> None:
    ended = RUNNER.invoke(app, ["status", "--url", url])
    assert ended.exit_code == 1
    assert ended.stderr.startswith("no engine answers at ")
    assert "--url" in ended.stderr


def test_a_proxy_is_not_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert RUNNER.invoke(app, ["status", "--url", serve(200, document())]).exit_code == 0
