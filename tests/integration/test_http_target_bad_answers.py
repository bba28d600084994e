"""The HTTP target against servers that break the rules: every bad answer is a reply, none an exception.

What was sent may have been acted on, so a bad answer counts as an error of the function; only what was never
sent is neutral. Each entry of the tables is one bad answer that was tried.
"""

import asyncio
import gzip
import socket
import tracemalloc
import zlib

import pytest
from functions.http_servers import Behaviour, RawServer, Wire, raw_server
from test_http_target import CALL, OK, always_ok, outcome, target

from esm.clients.http.answers import Unusable, unpacked
from esm.model import Errored, Invocation, Outcome, Reply, Returned

FUNCTION_ERROR, TIMEOUT = Outcome.FUNCTION_ERROR, Outcome.TIMEOUT
CAP = 200_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVIL = b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"evil"'
BOMB = gzip.compress(b"\0" * 50_000_000)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def packed(kind: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(body), body)


THEN_CLOSED: dict[str, bytes] = {
    "nothing at all": b"",
    "half a status line": b"HTTP/1.",
    "a cut-off head": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
    "no HTTP": b"220 smtp.example ESMTP\r\n\r\n",
    "only line ends": b"\r\n\r\n\r\n\r\n",
    "zero bytes": b"\0" * 1000,
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "an unknown version": b"HTTP/9.9 200 OK\r\nContent-Length: 4\r\n\r\nnull",
    "a status of letters": b"HTTP/1.1 OK OK\r\nContent-Length: 4\r\n\r\nnull",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nnull",
    "a negative status": b"HTTP/1.1 -200 OK\r\nContent-Length: 4\r\n\r\nnull",
    "a header without colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 4\r\n\r\nnull",
    "a header with a zero byte": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 4\r\n\r\nnull",
    "a shorter body than announced": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nnull",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nnull",
    "a length of letters": b"HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nnull",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nnull",
    "a length beyond all numbers": b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\nnull" % (b"9" * 40),
    "a chunk size of letters": CHUNKED + b"zz\r\nnull\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-4\r\nnull\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"2\r\nnull\r\n0\r\n\r\n",
    "chunks that stop": CHUNKED + chunk(b"nu"),
    "a chunk cut off": CHUNKED + b"10\r\nnull",
    "chunks without an end": CHUNKED + chunk(b"null") + b"0\r\n",
    "a huge header": b"HTTP/1.1 200 OK\r\nX: %b\r\nContent-Length: 4\r\n\r\nnull" % (b"x" * 100_000),
    "too many headers": b"HTTP/1.1 200 OK\r\n%b\r\n\r\nnull" % b"".join(b"X-%d: y\r\n" % n for n in range(10_000)),
    "a huge reason": b"HTTP/1.1 200 %b\r\nContent-Length: 4\r\n\r\nnull" % (b"O" * 100_000),
    "a body above the cap": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (CAP + 1, b"x" * (CAP + 1)),
    "chunks above the cap": CHUNKED + chunk(b"x" * 100_000) * 3 + b"0\r\n\r\n",
    "an unbounded body above the cap": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (CAP + 1),
    "a gzip bomb": packed(b"gzip", BOMB),
    "a deflate bomb": packed(b"deflate", zlib.compress(b"\0" * 50_000_000)),
    "a bomb in an error": BOMB
    and b"HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(BOMB), BOMB),
    "gzip that is none": packed(b"gzip", b"null"),
    "gzip cut off": packed(b"gzip", gzip.compress(b"x" * 1000)[:-12]),
    "two gzip streams": packed(b"gzip", gzip.compress(b"nu") + gzip.compress(b"ll")),
    "an unknown encoding": packed(b"br", b"null"),
    "two encodings": packed(b"gzip, gzip", gzip.compress(gzip.compress(b"null"))),
    "garbage behind the answer": OK + b"garbage",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nnull",
    "interim answers only": b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
}


@pytest.mark.parametrize("name", THEN_CLOSED)
async def test_a_broken_answer_is_an_error_of_the_function(name: str) -> None:
    async def behave(wire: Wire) -> None:
        await wire.request()
        await wire.send(THEN_CLOSED[name])

    reply, _ = await ask(behave)
    assert outcome(reply) is FUNCTION_ERROR
    assert isinstance(reply, Errored)
    assert 0 < len(reply.message) < 400
    assert "Records" not in reply.message


async def ask(behave: Behaviour, timeout: float = 20.0) -> tuple[Reply, RawServer]:
    async with raw_server(behave) as server, target(server.url, timeout=timeout, max_response_bytes=CAP) as opened:
        return await opened.invoke(CALL), server


UNUSUAL_BUT_COMPLETE: dict[str, tuple[bytes, bytes]] = {
    "a body up to the close": (b"HTTP/1.0 200 OK\r\n\r\nnull", b"null"),
    "chunks of one byte": (CHUNKED + b"".join(chunk(b"%c" % c) for c in b"null") + b"0\r\n\r\n", b"null"),
    "chunk extensions and trailers": (CHUNKED + b"4;a=b\r\nnull\r\n0\r\nX-T: y\r\n\r\n", b"null"),
    "an interim answer first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"null"),
    "early hints first": (b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + OK, b"null"),
    "a gzip answer nobody asked for": (packed(b"gzip", gzip.compress(b"null")), b"null"),
    "a deflate answer nobody asked for": (packed(b"deflate", zlib.compress(b"null")), b"null"),
    "an encoding that says nothing": (packed(b"Identity", b"null"), b"null"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nnull", b"null"),
    "no bytes with a length of zero": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    "bytes that are no text": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe", b"\xff\xfe"),
    "a body of exactly the cap": (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (CAP, b"x" * CAP),
        b"x" * CAP,
    ),
}


@pytest.mark.parametrize("name", UNUSUAL_BUT_COMPLETE)
async def test_an_unusual_answer_is_still_an_answer(name: str) -> None:
    answer, body = UNUSUAL_BUT_COMPLETE[name]

    async def behave(wire: Wire) -> None:
        await wire.request()
        await wire.send(answer)

    reply, _ = await ask(behave)
    assert reply == Returned(body)


def test_a_bomb_is_not_unpacked_beyond_the_cap() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Unusable, match="larger than"):
            unpacked(BOMB, "gzip", CAP)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * CAP


async def test_an_error_in_the_middle_of_an_answer_is_not_taken_for_an_idle_connection() -> None:
    """One byte of an answer to the second request, then a reset: it may have been acted on."""

    async def behave(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        await wire.request()
        await wire.send(b"H")
        wire.reset()

    async with raw_server(behave) as server, target(server.url) as opened:
        await opened.invoke(CALL)
        assert outcome(await opened.invoke(CALL)) is FUNCTION_ERROR
    assert len(server.requests) == 2


async def _silence(wire: Wire) -> None:
    await wire.request()
    await wire.wait_for_close()


async def _never_reads(wire: Wire) -> None:
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.Event().wait()


def _dripping(start: bytes, drop: bytes) -> Behaviour:
    async def behave(wire: Wire) -> None:
        await wire.request()
        await wire.send(start)
        while True:
            await wire.send(drop)
            await asyncio.sleep(0.02)

    return behave


SLOW: dict[str, Behaviour] = {
    "silence": _silence,
    "a status line that never ends": _dripping(b"HTTP/1.1 200 ", b"O"),
    "headers that never end": _dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "a body byte by byte": _dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "chunks byte by byte": _dripping(CHUNKED, b"1\r\nx\r\n"),
    "a chunk size that never ends": _dripping(CHUNKED, b"0"),
    "interim answers for ever": _dripping(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "line ends for ever": _dripping(b"", b"\r\n"),
}


@pytest.mark.parametrize("name", SLOW)
async def test_an_answer_that_does_not_end_is_a_timeout(name: str) -> None:
    reply, _ = await ask(SLOW[name], timeout=0.4)
    assert outcome(reply) is TIMEOUT


async def test_an_endless_body_is_cut_at_the_cap() -> None:
    async def endless(wire: Wire) -> None:
        await wire.request()
        await wire.send(CHUNKED)
        while True:
            await wire.send(chunk(b"x" * 50_000))

    reply, _ = await ask(endless)
    assert reply == Errored(FUNCTION_ERROR, f"the answer is larger than {CAP} bytes")


async def test_a_server_that_never_reads_a_large_event_is_a_timeout() -> None:
    event = b'"' + b"x" * 6_000_000 + b'"'
    async with raw_server(_never_reads) as server, target(server.url, timeout=0.4) as opened:
        assert outcome(await opened.invoke(Invocation(event, "orders", "b", 1, "k"))) is TIMEOUT


@pytest.mark.parametrize("then", ["close", "stay"])
async def test_an_answer_before_the_event_was_read_counts(then: str) -> None:
    """413 from a server that saw the length and looks no further."""

    async def refuse(wire: Wire) -> None:
        await wire.reader.readuntil(b"\r\n\r\n")
        await wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        if then == "stay":
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.Event().wait()

    event = b'"' + b"x" * 6_000_000 + b'"'
    async with raw_server(refuse) as server, target(server.url, timeout=20.0) as opened:
        async with asyncio.timeout(10):
            reply = await opened.invoke(Invocation(event, "orders", "b", 1, "k"))
    assert outcome(reply) is FUNCTION_ERROR


async def test_a_reset_after_the_request_counts() -> None:
    async def reset(wire: Wire) -> None:
        await wire.request()
        wire.reset()

    reply, server = await ask(reset)
    assert outcome(reply) is FUNCTION_ERROR
    assert len(server.requests) == 1


async def test_a_reset_within_the_body_counts_once() -> None:
    async def reset(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnull")
        await wire.reader.readuntil(b"never")

    async def behave(wire: Wire) -> None:
        try:
            await asyncio.wait_for(reset(wire), 0.2)
        except TimeoutError:
            wire.reset()

    async with raw_server(behave) as server, target(server.url, timeout=20.0) as opened:
        await opened.invoke(CALL)
        assert outcome(await opened.invoke(CALL)) is FUNCTION_ERROR
    assert len(server.requests) == 2


async def test_a_second_answer_never_answers_the_next_call() -> None:
    async def answers_twice(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK + EVIL)
        await always_ok(wire)

    async with raw_server(answers_twice) as server, target(server.url) as opened:
        replies = [await opened.invoke(CALL) for _ in range(3)]
    assert replies == [Returned(b"null")] * 3


async def test_late_bytes_never_answer_the_next_call() -> None:
    """A server that answers a second time on its own, while the connection is idle."""
    sent = asyncio.Event()

    async def answers_late(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        if wire.number == 1:
            await asyncio.sleep(0)
            await wire.send(EVIL)
            sent.set()
        await always_ok(wire)

    async with raw_server(answers_late) as server, target(server.url) as opened:
        assert await opened.invoke(CALL) == Returned(b"null")
        await sent.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert await opened.invoke(CALL) == Returned(b"null")


async def test_a_bad_answer_spoils_no_other_call() -> None:
    async def odd_ones_break(wire: Wire) -> None:
        while True:
            request = await wire.request()
            if request.headers["x-esm-attempt"] == "1":
                await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nnull")
                return
            await wire.send(OK)

    calls = [Invocation(b"{}", "orders", "b", attempt, "k") for attempt in (1, 2) * 20]
    async with raw_server(odd_ones_break) as server, target(server.url) as opened:
        replies = await asyncio.gather(*[opened.invoke(call) for call in calls])
    assert [outcome(reply) for reply in replies] == [FUNCTION_ERROR, None] * 20


async def test_a_listener_that_never_accepts_is_unreachable() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            async with target(f"http://127.0.0.1:{port}/", timeout=0.3) as opened:
                reply = await opened.invoke(CALL)
    assert outcome(reply) is Outcome.UNREACHABLE


@pytest.mark.parametrize("server_says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silence", "plain text"])
async def test_a_handshake_that_fails_is_unreachable(server_says: bytes) -> None:
    async def no_tls(wire: Wire) -> None:
        await wire.reader.read(100)
        if server_says:
            await wire.send(server_says)
        else:
            await wire.wait_for_close()

    async with (
        raw_server(no_tls) as server,
        target(server.url.replace("http:", "https:"), timeout=0.4) as opened,
    ):
        reply = await opened.invoke(CALL)
    assert outcome(reply) is Outcome.UNREACHABLE
