"""What stands before a broker of Amazon MSK: TLS, and whoever shows a token of AWS's IAM is let through.

The tokens are checked as AWS documents signed URLs, by code of this file's own. Everything else is the broker's.
"""

import asyncio
import base64
import hashlib
import hmac
import ssl
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

_HANDSHAKE, _AUTHENTICATE = 17, 36
_REFUSED = 58
_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass
class IamGate:
    """Knows one key of one region; a session lasts `session` milliseconds. `shown` are the good tokens."""

    region: str
    access_key: str
    secret_key: str
    session: int
    shown: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def why_not(self, token: str) -> str:
        """Empty if it is let in."""
        url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
        if (url.scheme, url.netloc, url.path) != ("https", f"kafka.{self.region}.amazonaws.com", "/"):
            return f"is for {url.netloc}"
        query = dict(parse_qsl(url.query))
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if not signed - 60 < time.time() < signed + int(query["X-Amz-Expires"]):
            return "has expired"
        if query["Action"] != "kafka-cluster:Connect":
            return f"is for {query['Action']}"
        if query["X-Amz-Credential"] != f"{self.access_key}/{self._scope(query)}":
            return f"is of {query['X-Amz-Credential']}"
        return "" if hmac.compare_digest(query.pop("X-Amz-Signature"), self._signature(query)) else "is not signed"

    def _scope(self, query: Mapping[str, str]) -> str:
        return f"{query['X-Amz-Date'][:8]}/{self.region}/kafka-cluster/aws4_request"

    def _signature(self, query: Mapping[str, str]) -> str:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html.

        The user agent is added when all else is signed.
        """
        signed = {name: text for name, text in sorted(query.items()) if name != "User-Agent"}
        asked = "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in signed.items())
        host = f"host:kafka.{self.region}.amazonaws.com\n"
        request = f"GET\n/\n{asked}\n{host}\nhost\n{_EMPTY}"
        scope = self._scope(query)
        hashed = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.secret_key}".encode()
        for part in (*scope.split("/"), "\n".join(("AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, hashed))):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()

    def answer(self, kind: int, body: bytes) -> bytes:
        """To a request of SASL, behind its header."""
        if kind == _HANDSHAKE:
            return struct.pack(">hi", 0, 1) + _text(b"OAUTHBEARER")
        token = body[4:].split(b"auth=Bearer ")[1].split(b"\x01")[0].decode()
        why = self.why_not(token)
        (self.refused if why else self.shown).append(token)
        error = struct.pack(">h", _REFUSED) + _text(why.encode()) if why else struct.pack(">hh", 0, -1)
        return error + struct.pack(">iq", 0, self.session)


@asynccontextmanager
async def open_gate(gate: IamGate, port: int, broker: int, tls: ssl.SSLContext) -> AsyncIterator[IamGate]:
    """Listens on `port` of loopback, before the broker on another."""

    async def passing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", broker)
        with closing(writer), closing(requests), suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.TaskGroup() as both:
                both.create_task(_back(answers, writer))
                await _forth(gate, reader, requests, writer)
                requests.close()

    async with await asyncio.start_server(passing, "127.0.0.1", port, ssl=tls):
        yield gate


async def _forth(
    gate: IamGate, reader: asyncio.StreamReader, requests: asyncio.StreamWriter, answers: asyncio.StreamWriter
) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            size = await reader.readexactly(4)
            request = await reader.readexactly(int.from_bytes(size))
            kind, version, number, client = struct.unpack(">hhih", request[:10])
            if kind not in {_HANDSHAKE, _AUTHENTICATE}:
                requests.write(size + request)
                continue
            assert version == 1
            answer = number.to_bytes(4) + gate.answer(kind, request[10 + max(0, client) :])
            answers.write(len(answer).to_bytes(4) + answer)


async def _back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)


def _text(data: bytes) -> bytes:
    return struct.pack(">h", len(data)) + data
