"""Answers are read the same however their bytes arrive, and each on its own."""

import gzip
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.clients.http.answers import AnswerReader, Unusable
from esm.clients.http.exchange import Answered

MOST = 1000
NAMES = st.sampled_from(["X-One", "x-two", "Retry-After", "Set-Cookie"])
VALUES = st.text('abc ;=,"é中', max_size=10).map(str.strip)
BODIES = st.binary(max_size=200)


def plain(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(body: bytes) -> bytes:
    chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part)
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Trailer: behind\r\n\r\n"


def packed(body: bytes) -> bytes:
    return b"Content-Encoding: gzip\r\n" + plain(gzip.compress(body))


@given(
    status=st.integers(200, 599).filter(lambda status: status not in {204, 304}),
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    body=BODIES,
    framing=st.sampled_from([plain, chunked, packed]),
    interim=st.sampled_from(
        [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"]
    ),
    cuts=st.lists(st.integers(0, 600), max_size=6),
)
def test_the_same_answer_however_it_is_cut(  # noqa: PLR0917
    status: int, headers: list[tuple[str, str]], body: bytes, framing: object, interim: bytes, cuts: list[int]
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers).encode()
    wire = interim + b"HTTP/1.1 %d Any reason\r\n%b" % (status, lines) + framing(body)  # type: ignore[operator]
    reader = AnswerReader(MOST)
    for _ in range(2):  # the second one on the same connection
        reader.expect()
        edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
        *early, last = [reader.feed(wire[a:b]) for a, b in itertools.pairwise(edges) if a < b]
        assert early == [None] * len(early)
        assert last is not None
        assert (last.status, last.body, reader.kept) == (status, body, True)
        assert [pair for pair in last.headers.items() if pair[0] in dict(headers)] == headers
        assert "X-Trailer" not in last.headers
        assert "Link" not in last.headers


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_bytes_make_it_fail_otherwise(data: bytes, cut: int) -> None:
    reader = AnswerReader(MOST)
    for piece in (data[:cut], b"HTTP/1.1 200 OK\r\n", data[cut:]):
        try:
            reader.feed(piece)
        except Unusable:
            return


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nconnection: Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_a_connection_is_kept_as_both_sides_understand_it(head: bytes, *, kept: bool) -> None:
    reader = AnswerReader(MOST)
    assert reader.feed(head + b"Content-Length: 2\r\n\r\n{}") is not None
    assert reader.kept is kept


def test_what_follows_an_answer_is_none_and_ends_the_connection() -> None:
    reader = AnswerReader(MOST)
    answer = b"HTTP/1.1 200 OK\r\nX-N: 1\r\nContent-Length: 2\r\n\r\n"
    got = reader.feed(answer + b"{}" + answer.replace(b"1\r", b"2\r") + b"[]")
    assert got == Answered(200, got.headers if got else {}, b"{}")
    assert got
    assert got.headers["x-n"] == "1"
    assert not reader.kept


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    reader = AnswerReader(MOST)
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhal") is None
    assert reader.feed(b"f") is None
    assert reader.end().body == b"half"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhal",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhalf",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_any_other_answer_that_ends_so_is_broken_off(head: bytes) -> None:
    reader = AnswerReader(MOST)
    assert reader.feed(head) is None
    with pytest.raises(Unusable, match="broke off"):
        reader.end()


@pytest.mark.parametrize("framing", [b"0" * 100, b"5;" + b"e" * 100, b"5\r\nhello\r\n0\r\nX: " + b"y" * 100])
def test_framing_that_never_ends_is_given_up(framing: bytes) -> None:
    """No byte of it counts as a body, so the limit of that would never be met."""
    reader = AnswerReader(MOST)
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framing)

    def go_on() -> None:
        for _ in range(1000):
            reader.feed(framing[-1:] * 100)

    with pytest.raises(Unusable, match="too long"):
        go_on()
