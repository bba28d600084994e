"""The HTTP target against servers that behave: what is sent, what statuses mean, keep-alive, limits."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from functions.http_servers import RawServer, Wire, free_port, obedient_server, raw_server
from yarl import URL

from esm.clients.http import HttpClient, Limits, Unreached, open_client
from esm.clients.http.client import Heads
from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned
from esm.plugins import TargetContext
from esm.targets.http import HttpOptions, HttpTarget, open_http

CALL = Invocation(b'{"Records":[]}', "orders", "batch-7", 3, "ab" * 32)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"


def target(url: str, **options: Any) -> AbstractAsyncContextManager[HttpTarget]:
    chosen = HttpOptions(url=url, **{"timeout": 10.0, **options})
    return open_http(chosen, TargetContext("t", {}), wall=lambda: 1_800_000_000.9)


async def always_ok(wire: Wire) -> None:
    while True:
        await wire.request()
        await wire.send(OK)


def answering(answer: bytes) -> Callable[[Wire], Any]:
    async def behave(wire: Wire) -> None:
        await wire.request()
        await wire.send(answer)

    return behave


@asynccontextmanager
async def asked(answer: bytes = OK, **options: Any) -> AsyncIterator[tuple[Reply, RawServer]]:
    async with raw_server(answering(answer)) as server, target(server.url, **options) as opened:
        yield await opened.invoke(CALL), server


def outcome(reply: Reply) -> Outcome | None:
    return None if isinstance(reply, Returned) else reply.outcome


async def test_the_request_carries_the_event_and_who_sends_it() -> None:
    async with asked() as (reply, server):
        assert reply == Returned(b"null")
    (request,) = server.requests
    assert request.head == "POST /invoke HTTP/1.1"
    assert request.body == CALL.payload
    assert {name: request.headers[name] for name in request.headers if name not in {"host", "accept"}} == {
        "content-type": "application/json",
        "content-length": "14",
        "accept-encoding": "identity",
        "user-agent": "esm",
        "x-esm-mapping": "orders",
        "x-esm-batch-id": "batch-7",
        "x-esm-attempt": "3",
        "idempotency-key": "ab" * 32,
    }


async def test_a_mapping_may_have_any_name() -> None:
    name = "größe\r\nX-Evil: 1 %"
    call = Invocation(b"{}", name, "b", 1, "k")
    async with raw_server(always_ok) as server, target(server.url) as opened:
        assert await opened.invoke(call) == Returned(b"null")
    assert server.requests[0].headers["x-esm-mapping"] == "gr%C3%B6%C3%9Fe%0D%0AX-Evil: 1 %25"
    assert "x-evil" not in server.requests[0].headers


async def test_headers_and_authorization_are_sent() -> None:
    basic = {"basic": {"username": "käthe", "password": "s:cret"}}
    async with asked(headers={"X-Api-Key": "k1", "Host": "billing.internal"}, auth=basic) as (_, server):
        headers = server.requests[0].headers
    assert headers["x-api-key"] == "k1"
    assert headers["host"] == "billing.internal"
    assert headers["authorization"] == "Basic a8OkdGhlOnM6Y3JldA=="
    async with asked(auth={"bearer": "abc.def"}) as (_, server):
        assert server.requests[0].headers["authorization"] == "Bearer abc.def"


async def test_the_signature_covers_timestamp_and_body() -> None:
    async with asked(signature={"secret": "hush"}) as (_, server):
        header = server.requests[0].headers["x-esm-signature"]
    mac = hmac.new(b"hush", b"1800000000." + CALL.payload, hashlib.sha256).hexdigest()
    assert header == f"t=1800000000,v1={mac}"


async def test_a_large_event_is_sent_whole_with_its_length() -> None:
    event = json.dumps({"body": "x" * 6_000_000}).encode()
    async with raw_server(always_ok) as server, target(server.url) as opened:
        assert await opened.invoke(Invocation(event, "orders", "b", 1, "k")) == Returned(b"null")
    assert server.requests[0].body == event
    assert server.requests[0].headers["content-type"] == "application/json"


STATUSES = [
    (200, None),
    (201, None),
    (202, None),
    (299, None),
    (301, Outcome.MISCONFIGURED),
    (304, Outcome.MISCONFIGURED),
    (307, Outcome.MISCONFIGURED),
    (400, Outcome.FUNCTION_ERROR),
    (401, Outcome.MISCONFIGURED),
    (403, Outcome.MISCONFIGURED),
    (404, Outcome.MISCONFIGURED),
    (405, Outcome.MISCONFIGURED),
    (407, Outcome.MISCONFIGURED),
    (408, Outcome.FUNCTION_ERROR),
    (409, Outcome.FUNCTION_ERROR),
    (413, Outcome.FUNCTION_ERROR),
    (429, Outcome.THROTTLED),
    (500, Outcome.FUNCTION_ERROR),
    (502, Outcome.FUNCTION_ERROR),
    (503, Outcome.THROTTLED),
    (504, Outcome.FUNCTION_ERROR),
    (599, Outcome.FUNCTION_ERROR),
    (700, Outcome.FUNCTION_ERROR),
]


@pytest.mark.parametrize(("status", "expected"), STATUSES)
async def test_what_a_status_means(status: int, expected: Outcome | None) -> None:
    body = b"" if status == 304 else b"oh"
    async with asked(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)) as (reply, _):
        assert outcome(reply) is expected


async def test_refused_statuses_can_be_chosen() -> None:
    async with asked(b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n", refused_statuses=[502]) as (reply, _):
        assert outcome(reply) is Outcome.THROTTLED
    async with asked(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", refused_statuses=[502]) as (reply, _):
        assert outcome(reply) is Outcome.FUNCTION_ERROR


async def test_retry_after_reaches_the_engine() -> None:
    async with asked(b"HTTP/1.1 429 X\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n") as (reply, _):
        assert isinstance(reply, Refused)
        assert reply.retry_after == 17.0


async def test_an_empty_answer_is_returned_empty() -> None:
    async with asked(b"HTTP/1.1 204 No Content\r\n\r\n") as (reply, _):
        assert reply == Returned(b"")


async def test_a_function_error_header_makes_an_error_of_an_answer() -> None:
    body = b'{"errorType": "KeyError", "errorMessage": "id", "trace": ["secret"]}'
    head = b"HTTP/1.1 200 OK\r\nX-Amz-Function-Error: Unhandled\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with asked(head + body) as (reply, _):
        assert reply == Errored(Outcome.FUNCTION_ERROR, "KeyError: id")


async def test_request_id_and_version_are_kept() -> None:
    head = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: r-1\r\nX-Amz-Executed-Version: 7\r\nContent-Length: 2\r\n\r\n{}"
    async with asked(head) as (reply, _):
        assert reply == Returned(b"{}", {"request_id": "r-1", "executed_version": "7"})


async def test_no_cookie_is_kept() -> None:
    """Calls of different mappings share a target, and none may see what another was given."""

    async def sets_a_cookie(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=1; Path=/\r\n\r\n"))

    async with (
        raw_server(sets_a_cookie) as server,
        target(server.url.replace("127.0.0.1", "localhost")) as opened,
    ):
        assert [await opened.invoke(CALL) for _ in range(2)] == [Returned(b"null")] * 2
    assert not any("cookie" in request.headers for request in server.requests)


async def test_connections_are_kept_and_shared() -> None:
    async with raw_server(always_ok) as server, target(server.url) as opened:
        for _ in range(20):
            assert await opened.invoke(CALL) == Returned(b"null")
    assert server.connections == 1
    assert len(server.requests) == 20


async def test_no_more_connections_than_allowed() -> None:
    open_now, most = 0, 0

    async def behave(wire: Wire) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            await always_ok(wire)
        finally:
            open_now -= 1

    async with raw_server(behave) as server, target(server.url, max_connections=3) as opened:
        replies = await asyncio.gather(*[opened.invoke(CALL) for _ in range(30)])
    assert replies == [Returned(b"null")] * 30
    assert most == 3


async def test_waiting_for_a_connection_in_vain_is_neutral() -> None:
    """The function had not been asked, so its attempts must not be spent."""
    sent = asyncio.Event()

    async def hold(wire: Wire) -> None:
        await wire.request()
        sent.set()
        await wire.wait_for_close()

    async with raw_server(hold) as server, open_client(Limits(0.2, 1, 100), {}) as client:
        url = URL(server.url)
        patient = HttpClient(client._pool, Limits(60.0, 1, 100), Heads({}, None))
        async with asyncio.TaskGroup() as group:
            holder = group.create_task(patient.post(url, b"{}", {}))
            await sent.wait()
            assert await client.post(url, b"{}", {}) == Unreached("no connection in time")
            holder.cancel()


async def test_the_time_of_waiting_is_not_the_functions() -> None:
    """A call that waited for the only connection still has its whole timeout."""

    async def slow(wire: Wire) -> None:
        while True:
            await wire.request()
            await asyncio.sleep(0.7)
            await wire.send(OK)

    async with raw_server(slow) as server, target(server.url, max_connections=1, timeout=1.2) as opened:
        replies = await asyncio.gather(*[opened.invoke(CALL) for _ in range(2)])
    assert replies == [Returned(b"null")] * 2


async def test_nobody_listening_is_unreachable() -> None:
    async with target(f"http://127.0.0.1:{free_port()}/") as opened:
        reply = await opened.invoke(CALL)
        assert outcome(reply) is Outcome.UNREACHABLE
        assert [finding.broken for finding in await opened.check()] == [True]


async def test_an_unknown_name_is_unreachable() -> None:
    async with target("http://no-such-host.invalid/") as opened:
        assert outcome(await opened.invoke(CALL)) is Outcome.UNREACHABLE


async def test_a_check_connects_and_sends_nothing() -> None:
    got: list[bytes] = []

    async def listen(wire: Wire) -> None:
        got.append(await wire.reader.read())

    async with raw_server(listen) as server, target(server.url) as opened:
        assert await opened.check() == []
    assert got in ([], [b""])


async def test_a_target_that_restarts_costs_no_attempt() -> None:
    """Kept connections die with it: calls are refused while it is away, and none counts as an error."""
    port = free_port()
    call = Invocation(b'{"do": "answer", "answer": 1}', "orders", "b", 1, "k")
    async with target(f"http://127.0.0.1:{port}/invoke") as opened:
        for _ in range(3):
            async with obedient_server(port):
                replies = await asyncio.gather(*[opened.invoke(call) for _ in range(10)])
                assert replies == [Returned(b"1")] * 10
            assert outcome(await opened.invoke(call)) is Outcome.UNREACHABLE


async def test_an_idle_connection_closed_by_the_server_is_not_an_error() -> None:
    """It closes when the second request is on its way: nothing tells whether it was read, so it is sent again."""

    async def closes_second(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        if wire.number == 1:
            await wire.request()
        else:
            await always_ok(wire)

    async with raw_server(closes_second) as server, target(server.url) as opened:
        assert await opened.invoke(CALL) == Returned(b"null")
        assert await opened.invoke(CALL) == Returned(b"null")
    assert (server.connections, len(server.requests)) == (2, 3)


async def test_the_second_try_is_over_a_new_connection() -> None:
    """After a restart every kept connection is dead, and the next one would fail as well."""
    both = asyncio.Barrier(2)

    async def closes_second(wire: Wire) -> None:
        await wire.request()
        if wire.number <= 2:
            await both.wait()
        await wire.send(OK)
        if wire.number <= 2:
            await wire.request()

    async with raw_server(closes_second) as server, target(server.url) as opened:
        await asyncio.gather(opened.invoke(CALL), opened.invoke(CALL))
        assert await opened.invoke(CALL) == Returned(b"null")
    assert (server.connections, len(server.requests)) == (3, 4)


async def test_a_connection_reset_when_it_is_used_again_is_not_an_error() -> None:
    async def resets_second(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        if wire.number == 1:
            await wire.request()
            wire.reset()

    async with raw_server(resets_second) as server, target(server.url) as opened:
        assert [outcome(await opened.invoke(CALL)) for _ in range(2)] == [None, None]


async def test_only_one_second_try() -> None:
    """A record that crashes its function must count, even if it did so on a kept connection."""

    async def crashes_after_first(wire: Wire) -> None:
        await wire.request()
        if wire.number == 1:
            await wire.send(OK)
            await wire.request()

    async with raw_server(crashes_after_first) as server, target(server.url) as opened:
        await opened.invoke(CALL)
        assert outcome(await opened.invoke(CALL)) is Outcome.FUNCTION_ERROR
    assert len(server.requests) == 3


async def test_a_begun_answer_is_never_tried_again() -> None:
    async def breaks_off_second(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Le")

    async with raw_server(breaks_off_second) as server, target(server.url) as opened:
        await opened.invoke(CALL)
        assert outcome(await opened.invoke(CALL)) is Outcome.FUNCTION_ERROR
    assert len(server.requests) == 2


async def test_cancelling_closes_the_connection() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def hang(wire: Wire) -> None:
        await wire.request()
        began.set()
        await wire.wait_for_close()
        ended.set()

    async with raw_server(hang) as server, target(server.url) as opened, asyncio.TaskGroup() as group:
        call = group.create_task(opened.invoke(CALL))
        await began.wait()
        call.cancel()
        await ended.wait()
    assert call.cancelled()


def redirecting(location: str, status: int = 307) -> Callable[[Wire], Any]:
    async def behave(wire: Wire) -> None:
        request = await wire.request()
        if "/there" in request.head:
            await wire.send(OK)
        else:
            answer = (
                f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            await wire.send(answer.encode())

    return behave


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_an_allowed_redirect_is_posted_again(status: int) -> None:
    async with (
        raw_server(redirecting("/there", status)) as server,
        target(server.url, allow_redirects=True) as opened,
    ):
        assert await opened.invoke(CALL) == Returned(b"null")
    assert [request.body for request in server.requests] == [CALL.payload] * 2


@pytest.mark.parametrize(
    "where", ["http://127.0.0.2:9/there", "https://[broken/there", "", "/loop", "ftp://127.0.0.1/"]
)
async def test_a_redirect_elsewhere_is_not_followed(where: str) -> None:
    async with raw_server(redirecting(where)) as server, target(server.url, allow_redirects=True) as opened:
        assert outcome(await opened.invoke(CALL)) is Outcome.MISCONFIGURED
    assert len(server.requests) <= 6
