"""Turns the bytes of a server into answers. No I/O: it is fed, and says when an answer is complete."""

import zlib

from httptools import (  # type: ignore[import-untyped]
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)
from multidict import CIMultiDict

from esm.clients.http.exchange import Answered

_LONGEST_HEAD = 2**16
_FRAMING = 8


class Unusable(Exception):
    """What came is no answer, or none that can be used."""


class AnswerReader:
    """The answers on one connection, one after the other. `most`: bytes of a body, after decompression.

    `kept` tells after an answer whether another may follow it on the same connection.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._parser = HttpResponseParser(self)
        # What many servers get wrong and every client forgives.
        self._parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self.expect()

    def expect(self) -> None:
        """Before each answer."""
        self.kept = False
        self._complete = False
        self._surplus = False
        self._status = 0
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._body: list[bytes] = []
        self._size = 0
        self._framing = 0

    def feed(self, data: bytes) -> Answered | None:
        """The answer once it is complete. Raises `Unusable`."""
        self._framing += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            raise Unusable("malformed answer: it changes the protocol") from None
        except HttpParserError as error:
            raise Unusable(f"malformed answer: {error}") from None
        if self._size > self._most:
            raise _too_large(self._most)
        # Chunks may be as small as a byte, and then bring several times as many bytes around them.
        if self._framing > _LONGEST_HEAD + _FRAMING * self._size:
            raise Unusable("malformed answer: its head is too long")
        return self._answer() if self._complete else None

    def end(self) -> Answered:
        """The server has closed the connection; that ends an answer without a length. Raises `Unusable`."""
        if not self._status or "Content-Length" in self._headers or "Transfer-Encoding" in self._headers:
            raise Unusable("the answer broke off: the connection was closed")
        return self._answer()

    def _answer(self) -> Answered:
        self.kept = self.kept and not self._surplus
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        encoding = self._headers.get("Content-Encoding")
        if encoding is not None:
            body = unpacked(body, encoding.strip().lower(), self._most)
        return Answered(self._status, self._headers, body)

    # The parser calls these.

    def on_message_begin(self) -> None:
        """A second answer to one request is none to the next."""
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Not what is behind the body, nor what belongs to a surplus answer."""
        if not self._status and not self._complete:
            self._headers.add(name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        if not self._complete:
            self._status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if self._complete:
            return
        self._size += len(data)
        self._framing -= len(data)
        if self._size <= self._most:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if 100 <= self._status < 200:  # an interim answer: the real one follows
            self._status = 0
            self._headers = CIMultiDict()
        elif not self._complete:
            self._complete = True
            self.kept = self._parser.should_keep_alive()


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """Compressed answers are not asked for, but come. Never unpacks more than `most` bytes."""
    if encoding == "identity":
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise Unusable(f"content encoding {encoding[:40]!r} was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its first bytes say
    try:
        plain = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise Unusable(f"the {encoding} answer is damaged: {error}") from None
    if len(plain) > most:
        raise _too_large(most)
    if not unpacker.eof or unpacker.unused_data:
        raise Unusable(f"the {encoding} answer is cut off or has something behind it")
    return plain


def _too_large(most: int) -> Unusable:
    return Unusable(f"the answer is larger than {most} bytes")
