"""What an operator asks over HTTP, and what must not disturb the engine."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from esm.api.app import Api
from esm.api.server import serve
from esm.errors import ConfigError
from esm.model import Outcome
from esm.runtime.happenings import Deleted, Invoked, MappingState, Polled, QueueDepth, SourceFailed, State, to_all
from esm.runtime.lane_happenings import LaneLost
from esm.runtime.status.board import StatusBoard
from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.values import Live
from esm.telemetry.prometheus import PrometheusObserver


@dataclass
class Operator:
    """Asks a served api; the engine behind it is told what to show."""

    board: StatusBoard = field(default_factory=lambda: StatusBoard(lambda: 1_700_000_000.0))
    applied: bool = True

    def __post_init__(self) -> None:
        self.metrics = PrometheusObserver(self.board, "1.2.3", lambda: 0.0)
        self.tell = to_all([self.board.tell, self.metrics.tell])
        self.session: ClientSession
        self.address: tuple[str, int]

    @asynccontextmanager
    async def at_work(self, registry: CollectorRegistry | None = None) -> AsyncIterator["Operator"]:
        api = Api("1.2.3", self.board, registry or self.metrics.registry, lambda: self.applied, lambda: 12.5)
        async with (
            serve("127.0.0.1", 0, api.app()) as self.address,
            ClientSession(f"http://127.0.0.1:{self.address[1]}") as self.session,
        ):
            yield self

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, body and content type."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, path, headers=named) as answer:
            return answer.status, await answer.text(), answer.headers.get("Content-Type", "")


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    async with Operator().at_work() as asking:
        yield asking


def called(outcome: Outcome, mapping: str = "orders") -> Invoked:
    return Invoked(mapping, "b", 1, 10, 0, outcome, (0.1,), 0.1, "status 404", {"request_id": "r1"})


async def test_healthz_never_depends_on_a_mapping(operator: Operator) -> None:
    operator.applied = False
    operator.tell(SourceFailed("orders", "AccessDenied", "no", 1.0))
    assert (await operator.ask("/healthz"))[:2] == (200, "ok\n")


async def test_readyz_waits_for_the_configuration_and_ignores_a_broken_mapping(operator: Operator) -> None:
    operator.applied = False
    operator.tell(SourceFailed("orders", "AccessDenied", "no", 1.0))
    assert await operator.ask("/readyz?mapping=orders") == await operator.ask("/readyz")
    assert (await operator.ask("/readyz"))[0] == 503
    operator.applied = True
    assert (await operator.ask("/readyz"))[0] == 200


async def test_readyz_of_one_mapping_gives_the_reason(operator: Operator) -> None:
    async def one(name: str) -> tuple[int, str]:
        async with operator.session.get("/readyz", params={"mapping": name}) as answer:
            return answer.status, await answer.text()

    operator.tell(State("orders", MappingState.CREATING))
    assert await one("orders") == (503, "the mapping is Creating\n")
    operator.tell(State("orders", MappingState.ENABLED))
    assert await one("orders") == (200, "ready\n")
    operator.tell(called(Outcome.MISCONFIGURED))
    assert await one("orders") == (503, "PROBLEM: Target misconfigured: status 404\n")
    operator.tell(called(Outcome.SUCCESS))
    assert await one("orders") == (200, "ready\n")
    assert (await one("ordres"))[0] == 404
    assert (await one(""))[0] == 404


async def test_status_shows_every_mapping_in_awss_words(operator: Operator) -> None:
    operator.board.attach("orders", lambda: Live(1, 2, 3, 4, 5))
    for told in (
        State("orders", MappingState.ENABLED),
        Polled("orders", 10, 4.0),
        called(Outcome.SUCCESS),
        called(Outcome.UNREACHABLE),
        Deleted("orders", "b", 10, ()),
        QueueDepth("orders", 6, 7),
        State("mails", MappingState.DISABLED),
    ):
        operator.tell(told)
    status, body, content_type = await operator.ask("/status")
    document = json.loads(body)
    assert (status, content_type) == (200, "application/json")
    assert (document["version"], document["uptime_seconds"]) == ("1.2.3", 12.5)
    assert list(document["mappings"]) == ["mails", "orders"]
    assert document["mappings"]["mails"]["last_processing_result"] == "No records processed"
    at = "2023-11-14T22:13:20.000Z"
    assert document["mappings"]["orders"] == {
        "state": "Enabled",
        "since": at,
        "last_processing_result": "PROBLEM: Target unreachable: status 404",
        "result_since": at,
        "last_error": {"text": "Target unreachable: status 404", "at": at, "request_id": "r1"},
        "last_reply": {"request_id": "r1"},
        "concurrency": 1,
        "concurrency_limit": 2,
        "pollers": 3,
        "held_bytes": 4,
        "gathered": 5,
        "circuit_open": False,
        "counts": {
            "polled": 10,
            "filtered": 0,
            "invoked": 20,
            "failed_invoke": 10,
            "deleted": 10,
            "undeleted": 0,
            "released": 0,
            "invocations": {outcome.value: 0 for outcome in Outcome} | {"success": 1, "unreachable": 1},
            "dropped": 0,
            "delivered_on_failure": 0,
            "lost": 0,
        },
        "queue": {"visible": 6, "in_flight": 7, "oldest_seconds": 4.0},
        "lanes": {},
    }


HUGE = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898


async def test_status_shows_the_lanes_of_a_log_with_positions_as_texts(operator: Operator) -> None:
    crowded = LaneFigures(
        at=HUGE,
        behind=3.0,
        end=HUGE + 1,
        age=2.00049,
        attempts=4,
        pending=2,
        held_by="r",
        key="k\udcff",
        crowded=True,
    )
    lanes = {"s-2": crowded, "s-1": LaneFigures(stalled="the store fails: " + "x" * 9_999)}
    operator.board.attach("stream", lambda: Live(lanes=lanes))
    operator.tell(LaneLost("stream", "s-3", 10.0))
    _, body, _ = await operator.ask("/status")
    shown = json.loads(body)["mappings"]["stream"]
    assert list(shown["lanes"]) == ["s-1", "s-2", "s-3"]
    assert shown["lanes"]["s-2"] == {
        "state": "Crowded",
        "position": str(HUGE),
        "behind_seconds": 3.0,
        "lag_records": HUGE + 1,
        "iterator_age_seconds": 2.0,
        "attempts": 4,
        "pending_batches": 2,
        "gathered": 0,
        "held_bytes": 0,
        "in_flight": 0,
        "stalled": "",
        "crowded_by": {"record": "r", "key": r"k\udcff"},
    }
    first, last = shown["lanes"]["s-1"], shown["lanes"]["s-3"]
    assert (first["state"], first["position"], len(first["stalled"])) == ("Stalled", None, 500)
    assert (last["state"], last["crowded_by"]) == ("Lost", None)


PLAIN = "text/plain; version=0.0.4"
OPEN = "application/openmetrics-text; version=1.0.0"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", PLAIN),
        ("text/html", PLAIN),
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5", OPEN),
        ("application/openmetrics-text", OPEN),
        ("application/openmetrics-text;version=banana", PLAIN),
        (";;,,=;application/openmetrics-text", PLAIN),
    ],
)
async def test_metrics_come_in_the_format_that_is_asked_for(
    operator: Operator, accept: str, content_type: str
) -> None:
    operator.tell(Polled("orders", 10, 4.0))
    status, body, given = await operator.ask("/metrics", Accept=accept)
    assert status == 200
    assert given.startswith(content_type)
    parse: Any = parse_openmetrics if content_type == OPEN else text_string_to_metric_families
    samples = {(each.name, each.labels.get("mapping")): each.value for one in parse(body) for each in one.samples}
    assert samples["esm_polled_events_total", "orders"] == 10


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_metrics_are_squeezed_on_request(operator: Operator, encoding: str) -> None:
    async with operator.session.get("/metrics", headers={"Accept-Encoding": encoding}) as answer:
        assert answer.headers.get("Content-Encoding", "identity") == encoding
        assert "esm_build_info" in await answer.text()


async def test_some_metrics_can_be_asked_for_by_name(operator: Operator) -> None:
    operator.tell(State("orders", MappingState.ENABLED))
    _, body, _ = await operator.ask("/metrics?name[]=esm_pollers&name[]=esm_polled_events_total&name[]=unheard_of")
    names = {sample.name for family in text_string_to_metric_families(body) for sample in family.samples}
    assert names == {"esm_pollers", "esm_polled_events_total"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/metrics", 405),
        ("DELETE", "/status", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/..%2f..%2fetc/passwd", 404),
        ("GET", f"/status?{'x' * 20_000}", 400),
        ("HEAD", "/healthz", 200),
        ("BREW", "/healthz", 400),
    ],
)
async def test_odd_requests_are_answered(operator: Operator, method: str, path: str, status: int) -> None:
    assert (await operator.ask(path, method))[0] == status
    assert (await operator.ask("/healthz"))[0] == 200


@pytest.mark.parametrize(
    "sent", [b"\x00\xff\xfe\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /healthz HTTP/1.1\r\n"]
)
async def test_what_is_no_http_disturbs_nobody(operator: Operator, sent: bytes) -> None:
    _, writer = await asyncio.open_connection(*operator.address)
    writer.write(sent)
    await writer.drain()
    writer.close()
    assert (await operator.ask("/healthz"))[0] == 200


class Slow(Collector):
    """Metrics that take as long to render as the test wants."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def collect(self) -> Iterable[Metric]:
        self.begun.set()
        self.go.wait(30)
        return []


async def test_rendering_metrics_does_not_hold_up_the_loop() -> None:
    slow, registry = Slow(), CollectorRegistry()
    registry.register(slow)
    async with Operator().at_work(registry) as operator:
        async with asyncio.TaskGroup() as tasks:
            scrape = tasks.create_task(operator.ask("/metrics"))
            await asyncio.to_thread(slow.begun.wait, 30)
            assert (await operator.ask("/healthz"))[0] == 200
            assert not scrape.done()
            slow.go.set()
        assert scrape.result()[0] == 200


async def test_clients_that_never_read_hold_up_neither_others_nor_the_end() -> None:
    registry = CollectorRegistry()
    family = Gauge("big", "x" * 1_000, ["label"], registry=registry)
    for number in range(20_000):
        family.labels(f"{number:0500}").set(number)
    async with Operator().at_work(registry) as operator:
        _, writer = await asyncio.open_connection(*operator.address, limit=1)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        assert (await operator.ask("/healthz"))[0] == 200
        began = time.monotonic()
    assert time.monotonic() - began < 15
    writer.close()


async def test_a_port_that_is_taken_is_said_clearly(operator: Operator) -> None:
    host, port = operator.address
    with pytest.raises(ConfigError, match=rf"server\.listen: cannot listen on {host}:{port}: .*in use"):
        async with serve(host, port, Api("", operator.board, CollectorRegistry(), bool, float).app()):
            pass
    assert (await operator.ask("/healthz"))[0] == 200


async def test_the_port_is_free_again_after_the_end() -> None:
    async with Operator().at_work() as first:
        address = first.address
    api = Api("", StatusBoard(float), CollectorRegistry(), bool, float)
    async with serve(*address, api.app()) as again:
        assert again == address


async def test_a_host_that_does_not_exist_is_said_clearly() -> None:
    api = Api("", StatusBoard(float), CollectorRegistry(), bool, float)
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:0"):
        async with serve("192.0.2.1", 0, api.app()):
            pass


async def test_two_engines_in_one_process_show_their_own() -> None:
    async with Operator().at_work() as one, Operator().at_work() as other:
        one.tell(Polled("orders", 5, 0.1))
        assert "orders" in (await one.ask("/metrics"))[1]
        assert "orders" not in (await other.ask("/metrics"))[1]
        assert one.address != other.address
