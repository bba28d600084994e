"""The lean AWS client on real sockets: signatures that hold, proxies, authorities, clocks, tokens, retries."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import ReadOnlyCredentials  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from functions.http_servers import Request, Wire, free_port, raw_server
from test_http_target_tls import server_side

from esm.clients.aws import AwsClient, AwsOptions, Clients
from esm.clients.aws_calls import JsonCalls, dialect_of
from esm.clients.aws_errors import translated
from esm.errors import Disconnected
from servers import OPENSSL, Authority

Handler = Callable[[Request], tuple[int, dict[str, str], bytes]]

with_openssl = pytest.mark.skipif(OPENSSL is None, reason="needs the openssl command to make certificates")
MESSAGES = b'{"Messages":[{"MessageId":"m"}]}'
QUEUE = {"QueueUrl": "http://127.0.0.1/000000000000/orders"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries; how long they are has a test of its own."""
    monkeypatch.setattr("random.random", lambda: 0.0)


def serving(handle: Handler) -> Callable[[Wire], Awaitable[None]]:
    async def behave(wire: Wire) -> None:
        while True:
            status, headers, body = handle(await wire.request())
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            head = f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
            await wire.send(head.encode() + body)

    return behave


def good(_: Request) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, MESSAGES


def in_turn(*answers: tuple[int, bytes]) -> Handler:
    left = list(answers)

    def handle(_: Request) -> tuple[int, dict[str, str], bytes]:
        status, body = left.pop(0)
        return status, {}, body

    return handle


def origin(url: str) -> str:
    return url.removesuffix("/invoke")


@asynccontextmanager
async def leased(endpoint: str) -> AsyncIterator[AwsClient]:
    async with Clients().lease("sqs", AwsOptions(region="us-east-1", endpoint_url=endpoint)) as client:
        yield client


async def receive(endpoint: str) -> dict[str, Any]:
    async with leased(endpoint) as sqs:
        return await sqs.hot.call("ReceiveMessage", QUEUE)


async def problem_at(endpoint: str) -> Disconnected:
    with pytest.raises(Disconnected) as caught, translated("SQS"):
        await receive(endpoint)
    return caught.value


# What is sent


def signed_by_botocore(request: Request, url: str, credentials: ReadOnlyCredentials) -> str:
    """The Authorization that botocore would give to what arrived."""
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: request.headers[name] for name in names if name not in {"x-amz-date", "x-amz-security-token"}}
    theirs = AWSRequest("POST", url, headers, request.body)
    at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    with patch("botocore.auth.get_current_datetime", return_value=at):
        SigV4Auth(credentials, "sqs", "us-east-1").add_auth(theirs)
    return str(theirs.headers["Authorization"])


@pytest.mark.parametrize("path", ["", "/", "/some/path", "/some/path/"])
@pytest.mark.parametrize("token", [None, "a/token+of=a session"])
async def test_the_signature_holds_for_what_arrives(
    path: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    async with raw_server(serving(good)) as server:
        endpoint = origin(server.url) + path
        assert await receive(endpoint) == json.loads(MESSAGES)
    (request,) = server.requests
    assert request.head == f"POST {path or '/'} HTTP/1.1"
    assert request.headers["x-amz-target"] == "AmazonSQS.ReceiveMessage"
    assert request.headers["x-amzn-query-mode"] == "true"
    assert request.headers.get("x-amz-security-token") == token
    assert json.loads(request.body) == QUEUE
    expected = signed_by_botocore(request, endpoint or "/", ReadOnlyCredentials("AKIDEXAMPLE", "test", token))
    assert request.headers["authorization"] == expected


async def test_connections_are_kept() -> None:
    async with raw_server(serving(good)) as server, leased(origin(server.url)) as sqs:
        for _ in range(20):
            await sqs.hot.call("ReceiveMessage", QUEUE)
    assert (server.connections, len(server.requests)) == (1, 20)


async def test_a_cancelled_receive_closes_its_connection() -> None:
    """What a server has not answered yet it must not send to nobody."""
    asked, closed = asyncio.Event(), asyncio.Event()

    async def poll(wire: Wire) -> None:
        await wire.request()
        asked.set()
        await wire.wait_for_close()
        closed.set()

    async with raw_server(poll) as server, leased(origin(server.url)) as sqs, asyncio.TaskGroup() as tasks:
        call = tasks.create_task(sqs.hot.call("ReceiveMessage", QUEUE))
        await asked.wait()
        call.cancel()
        await closed.wait()


# Retries


PASSING = [
    (503, b"<html>"),
    (500, b'{"__type": "InternalFailure"}'),
    (400, b'{"__type": "com.amazonaws.sqs#RequestThrottled"}'),
]


@pytest.mark.parametrize("first", PASSING)
async def test_what_may_pass_is_tried_twice_after_a_pause(first: tuple[int, bytes]) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    handle = in_turn(first, (200, b"{}"), first, first)
    async with raw_server(serving(handle)) as server, leased(origin(server.url)) as sqs:
        dialect = dialect_of(sqs.cold.meta.service_model.metadata)
        calls = JsonCalls(sqs.signed, dialect, sleep, lambda: 0.25)
        assert await calls.call("ReceiveMessage", QUEUE) == {}
        with pytest.raises(ClientError):
            await calls.call("ReceiveMessage", QUEUE)
    assert pauses == [0.25, 0.25]
    assert len(server.requests) == 4


async def test_a_refusal_is_not_repeated() -> None:
    async with raw_server(serving(in_turn((403, b'{"__type": "AccessDenied", "message": "no"}')))) as server:
        problem = await problem_at(origin(server.url))
    assert problem.code == "AccessDenied"
    assert problem.reason == (
        "Error occurred while ReceiveMessage. SQS Error Code: AccessDenied. SQS Error Message: no"
    )


async def test_where_nobody_listens_it_says_so() -> None:
    port = free_port()
    problem = await problem_at(f"http://127.0.0.1:{port}")
    assert problem.reason == f"cannot connect to SQS at 127.0.0.1:{port}: connection refused"
    problem = await problem_at("http://no-such-host.invalid")
    assert problem.reason == "cannot connect to SQS at no-such-host.invalid:80: name not found"


async def test_a_server_that_hangs_up_is_unreachable() -> None:
    async def hang_up(wire: Wire) -> None:
        await wire.request()

    async with raw_server(hang_up) as server:
        problem = await problem_at(origin(server.url))
    assert problem.code == "unreachable"
    assert problem.reason.endswith("connection closed")
    assert len(server.requests) == 2


# Clocks


class Clocked:
    """A service whose clock is `ahead` of ours, and which refuses signatures that are more than 5 minutes off."""

    def __init__(self, ahead: timedelta, code: str) -> None:
        self.ahead = ahead
        self.code = code
        self.asked = 0

    def handle(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        self.asked += 1
        now = datetime.now(UTC) + self.ahead
        at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        date = {"Date": format_datetime(now, usegmt=True)}
        if abs(now - at) > timedelta(minutes=5):
            return 403, date, json.dumps({"__type": self.code, "message": "Signature expired"}).encode()
        return 200, date, b"{}"


@pytest.mark.parametrize("minutes", [-90, 60 * 24])
@pytest.mark.parametrize("code", ["InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed"])
async def test_a_clock_that_is_off_is_corrected_by_the_services(minutes: int, code: str) -> None:
    service = Clocked(timedelta(minutes=minutes), code)
    async with raw_server(serving(service.handle)) as server, leased(origin(server.url)) as sqs:
        for _ in range(3):
            await sqs.hot.call("ReceiveMessage", QUEUE)
    assert service.asked == 4, "the clock is learnt once"


async def test_a_wrong_signature_at_the_right_time_is_no_clock() -> None:
    def refuse(_: Request) -> tuple[int, dict[str, str], bytes]:
        date = {"Date": format_datetime(datetime.now(UTC), usegmt=True)}
        return 403, date, b'{"__type": "InvalidSignatureException", "message": "no"}'

    async with raw_server(serving(refuse)) as server:
        assert (await problem_at(origin(server.url))).code == "SignatureDoesNotMatch"
    assert len(server.requests) == 1


@pytest.mark.parametrize("date", ["", "yesterday", "Wed, 99 Foo 2026 00:00:00 GMT"])
async def test_a_date_of_nonsense_corrects_nothing(date: str) -> None:
    def refuse(_: Request) -> tuple[int, dict[str, str], bytes]:
        return 403, {"Date": date}, b'{"__type": "RequestExpired"}'

    async with raw_server(serving(refuse)) as server:
        assert (await problem_at(origin(server.url))).code == "ExpiredToken"
    assert len(server.requests) == 1


# Authorities and proxies


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("aws") / "ours")
    made.sign("server")
    return made


def tls_of(authority: Authority) -> Any:
    return server_side(authority, ssl.TLSVersion.TLSv1_3)


@with_openssl
async def test_a_private_authority_is_trusted_where_botocore_looks_for_it(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(f"[default]\nca_bundle = {authority['ca.pem']}\n")
    settings = {
        "AWS_CA_BUNDLE": authority["ca.pem"],
        "REQUESTS_CA_BUNDLE": authority["ca.pem"],
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }
    async with raw_server(serving(good), tls_of(authority)) as server:
        for name, value in settings.items():
            with monkeypatch.context() as each:
                each.setenv(name, value)
                assert await receive(origin(server.url)) == json.loads(MESSAGES)
        problem = await problem_at(origin(server.url))
    assert problem.code == "unreachable"
    assert problem.reason == f"cannot reach SQS at {origin(server.url).removeprefix('https://')}: ssl"


async def test_an_authority_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    problem = await problem_at("https://127.0.0.1:1")
    assert problem.code == "unreachable"


class ProxyServer:
    """Relays what CONNECT asks for, and answers what is asked by its whole URL."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.heads: list[str] = []
        self.proofs: list[str] = []

    async def behave(self, wire: Wire) -> None:
        head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head.partition("\r\n")[0])
        self.proofs += [line for line in head.split("\r\n") if line.startswith("Proxy-Authorization")]
        if self.status != 200:
            await wire.send(b"HTTP/1.1 %d Odd\r\nContent-Length: 2\r\n\r\nno" % self.status)
        elif head.startswith("CONNECT"):
            await self._relay(wire, head.split()[1])
        else:
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(MESSAGES), MESSAGES))

    async def _relay(self, wire: Wire, where: str) -> None:
        reader, writer = await asyncio.open_connection(*where.split(":"))
        await wire.send(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pump(wire.reader, writer))
            tasks.create_task(_pump(reader, wire.writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def through(url: str) -> None:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, url)

    return through


@with_openssl
@pytest.mark.parametrize("user", ["", "engine:s%40cret@"])
async def test_https_goes_through_a_tunnel(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, proxied: Callable[[str], None], user: str
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", authority["ca.pem"])
    proxy = ProxyServer()
    async with raw_server(serving(good), tls_of(authority)) as server, raw_server(proxy.behave) as front:
        proxied(origin(front.url).replace("//", f"//{user}"))
        async with leased(origin(server.url)) as sqs:
            for _ in range(3):
                assert await sqs.hot.call("ReceiveMessage", QUEUE) == json.loads(MESSAGES)
    assert proxy.heads == [f"CONNECT {origin(server.url).removeprefix('https://')} HTTP/1.1"]
    assert proxy.proofs == (["Proxy-Authorization: Basic ZW5naW5lOnNAY3JldA=="] if user else [])
    assert len(server.requests) == 3
    assert all("proxy-authorization" not in request.headers for request in server.requests)


async def test_http_is_asked_of_the_proxy_by_its_whole_url(proxied: Callable[[str], None]) -> None:
    proxy = ProxyServer()
    async with raw_server(proxy.behave) as front:
        proxied(origin(front.url).replace("//", "//a:b@"))
        assert await receive("http://sqs.example:9324/x") == json.loads(MESSAGES)
    assert proxy.heads == ["POST http://sqs.example:9324/x HTTP/1.1"]
    assert proxy.proofs == ["Proxy-Authorization: Basic YTpi"]


async def test_no_proxy_is_respected(proxied: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    proxied(f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with raw_server(serving(good)) as server:
        assert await receive(origin(server.url)) == json.loads(MESSAGES)


async def test_a_proxy_that_does_not_connect_is_blamed(proxied: Callable[[str], None]) -> None:
    proxied(f"http://a:hunter2@127.0.0.1:{free_port()}")
    for endpoint in ("https://127.0.0.1:9", "http://127.0.0.1:9"):
        problem = await problem_at(endpoint)
        assert (problem.code, problem.reason) == ("unreachable", "cannot reach SQS: proxy connection")
    for status in (407, 502):
        async with raw_server(ProxyServer(status).behave) as front:
            proxied(origin(front.url))
            assert (await problem_at("https://127.0.0.1:9")).reason == "cannot reach SQS: proxy connection"


@pytest.mark.parametrize(
    "says",
    [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nand more", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000],
)
async def test_a_proxy_that_talks_nonsense_is_blamed(proxied: Callable[[str], None], says: bytes) -> None:
    async def nonsense(wire: Wire) -> None:
        await wire.reader.readuntil(b"\r\n\r\n")
        await wire.send(says)

    async with raw_server(nonsense) as front:
        proxied(origin(front.url))
        assert (await problem_at("https://127.0.0.1:9")).reason == "cannot reach SQS: proxy connection"
