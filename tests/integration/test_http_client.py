"""The HTTP client's connections: kept, given up, shared out, and none left behind."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from functions.http_servers import Wire, free_port, raw_server
from test_http_target import OK, always_ok
from yarl import URL

from esm.clients.http import Answered, Broken, HttpClient, Lapsed, Limits, Unreached, open_client

ROOMY = Limits(10.0, 0, 10_000)


async def ask(client: HttpClient, url: str, body: bytes = b"{}") -> object:
    answer = await client.post(URL(url), body, {})
    return answer.body if isinstance(answer, Answered) else answer


async def test_a_connection_that_the_server_closed_in_between_is_not_used_again() -> None:
    """It is noticed, so nothing is sent twice."""

    async def once(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)

    async with raw_server(once) as server, open_client(ROOMY, {}) as client:
        for _ in range(3):
            assert await ask(client, server.url) == b"null"
            await until(lambda: not client._pool._open)
    assert (server.connections, len(server.requests)) == (3, 3)


async def until(happens: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not happens():  # noqa: ASYNC110 - what is watched is the client's own, and tells nobody
            await asyncio.sleep(0.001)


async def test_a_connection_that_stays_idle_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esm.clients.http.pool._LONGEST_IDLE", 0.05)
    closed = asyncio.Event()

    async def watch(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        await wire.wait_for_close()
        closed.set()

    async with raw_server(watch) as server, open_client(ROOMY, {}) as client:
        assert await ask(client, server.url) == b"null"
        async with asyncio.timeout(10):
            await closed.wait()
        assert client._pool._idle[next(iter(client._pool._idle))] == []


async def test_a_connection_on_which_something_comes_unasked_is_not_used_again() -> None:
    """The rest of it could come with the next answer."""

    answered = asyncio.Event()

    async def says_more(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        if wire.number == 1:
            await answered.wait()
            await wire.send(b"H")
        await always_ok(wire)

    async with raw_server(says_more) as server, open_client(ROOMY, {}) as client:
        assert await ask(client, server.url) == b"null"
        answered.set()
        await until(lambda: not client._pool._open)
        assert await ask(client, server.url) == b"null"
    assert server.connections == 2


async def test_a_request_that_was_answered_half_read_stands_in_the_way_of_no_other() -> None:
    async def refuses_the_first(wire: Wire) -> None:
        if wire.number == 1:
            await wire.reader.readuntil(b"\r\n\r\n")
            await wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.Event().wait()
        await always_ok(wire)

    async with raw_server(refuses_the_first) as server, open_client(ROOMY, {}) as client:
        assert await ask(client, server.url, b"x" * 20_000_000) == b""
        assert await ask(client, server.url) == b"null"


async def test_calls_that_failed_hold_no_slot() -> None:
    """However they ended: the only slot is free again each time."""
    port = free_port()

    async def odd(wire: Wire) -> None:
        match (await wire.request()).body:
            case b"garbage":
                await wire.send(b"garbage")
            case b"silence":
                await wire.wait_for_close()
            case b"reset":
                wire.reset()
            case _:
                await wire.send(OK)

    async with raw_server(odd) as server, open_client(Limits(0.2, 1, 100), {}) as client:
        for _ in range(3):
            assert isinstance(await ask(client, server.url, b"garbage"), Broken)
            assert await ask(client, server.url, b"silence") == Lapsed()
            assert isinstance(await ask(client, server.url, b"reset"), Broken)
            assert isinstance(await ask(client, f"http://127.0.0.1:{port}/"), Unreached)
            async with asyncio.TaskGroup() as tasks:
                doomed = tasks.create_task(ask(client, server.url, b"silence"))
                waiting = tasks.create_task(ask(client, server.url))
                await asyncio.sleep(0)
                doomed.cancel()
            assert waiting.result() == b"null"


async def test_who_gave_up_waiting_takes_no_slot() -> None:
    release = asyncio.Event()

    async def hold(wire: Wire) -> None:
        await wire.request()
        await release.wait()
        await wire.send(OK)
        await always_ok(wire)

    async with raw_server(hold) as server, open_client(Limits(10.0, 1, 100), {}) as client:
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(ask(client, server.url))
            await until(lambda: server.requests)
            waiting = [tasks.create_task(ask(client, server.url)) for _ in range(5)]
            await asyncio.sleep(0)
            for task in waiting[:4]:
                task.cancel()
            release.set()
        assert (first.result(), waiting[4].result()) == (b"null", b"null")
        assert await ask(client, server.url) == b"null"
    assert server.connections == 1


async def test_nothing_is_left_open() -> None:
    """Not by good calls, bad ones, cancelled ones, nor by those under way when the client closes."""

    async def odd(wire: Wire) -> None:
        match (await wire.request()).body:
            case b"silence" | b"the last":
                await wire.wait_for_close()
            case b"garbage":
                await wire.send(b"garbage")
            case _:
                await wire.send(OK)
                await odd(wire)

    async def many(client: HttpClient, url: str) -> None:
        async with asyncio.TaskGroup() as tasks:
            for body in (b"{}", b"garbage") * 10:
                tasks.create_task(ask(client, url, body))
            doomed = [tasks.create_task(ask(client, url, b"silence")) for _ in range(20)]
            for task in doomed:
                tasks.create_task(ask(client, f"http://127.0.0.1:{port}/"))
                await asyncio.sleep(0)
                task.cancel()

    port = free_port()
    process = psutil.Process()
    async with raw_server(odd) as server:
        async with open_client(ROOMY, {}) as client:
            assert await ask(client, server.url) == b"null"
        before = process.num_fds()
        async with asyncio.TaskGroup() as tasks:
            async with open_client(ROOMY, {}) as client:
                await many(client, server.url)
                under_way = [tasks.create_task(ask(client, server.url, b"the last")) for _ in range(5)]
                await until(lambda: [request.body for request in server.requests].count(b"the last") == 5)
            assert not client._pool._open
        assert all(isinstance(task.result(), Broken | Unreached) for task in under_way)
        await until(lambda: process.num_fds() <= before)


async def test_a_closed_client_connects_to_nobody() -> None:
    async with raw_server(always_ok) as server:
        async with open_client(ROOMY, {}) as client:
            pass
        assert isinstance(await ask(client, server.url), Unreached)
        assert not client._pool._open
    assert not server.requests


async def test_the_next_address_is_tried_when_one_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a name that has an address of IPv6 which leads nowhere."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        with socket.create_connection(silent.getsockname()):  # its queue is full now
            async with raw_server(always_ok) as server, open_client(ROOMY, {}) as client:

                async def addresses(*_: Any, **__: Any) -> list[Any]:
                    there = ("127.0.0.1", URL(server.url).port)
                    return [
                        (socket.AF_INET, socket.SOCK_STREAM, 6, "", where)
                        for where in (silent.getsockname(), there)
                    ]

                monkeypatch.setattr("esm.clients.http.dial._addresses", addresses)
                async with asyncio.timeout(5):
                    assert await ask(client, "http://two.example/") == b"null"
    assert server.requests[0].headers["host"] == "two.example"


async def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    server = await asyncio.start_server(_one_answer, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_client(ROOMY, {}) as client:
        assert await ask(client, f"http://[::1]:{port}/") == f"[::1]:{port}".encode()


async def _one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    host = head.lower().partition(b"host: ")[2].partition(b"\r\n")[0]
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + host)
    writer.close()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb"])
async def test_no_header_can_smuggle_another(value: str) -> None:
    async with raw_server(always_ok) as server, open_client(ROOMY, {}) as client:
        with pytest.raises(ValueError, match="line break"):
            await client.post(URL(server.url), b"", {"X-A": value})
    with pytest.raises(ValueError, match="line break"):
        async with open_client(ROOMY, {"X-A": value}):
            pass
    assert server.connections == 0


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "xn--" + "a" * 60, "a..example", "%00"])
async def test_what_cannot_be_a_name_is_unreachable(host: str) -> None:
    async with open_client(ROOMY, {}) as client:
        for scheme in ("http", "https"):
            assert isinstance(await ask(client, str(URL.build(scheme=scheme, host=host, port=9))), Unreached)


async def test_the_last_header_of_a_name_is_sent_whatever_its_case() -> None:
    headers = {"User-Agent": "esm", "user-agent": "theirs"}
    async with raw_server(always_ok) as server, open_client(ROOMY, headers) as client:
        assert await ask(client, server.url) == b"null"
    assert server.requests[0].headers["user-agent"] == "theirs"
