"""A web address as destination: the document is posted to it, and an answer of 2xx says that it was taken.

Ours: AWS has none. A redirect is no 2xx: whoever moved the address is told, instead of being followed.
"""

import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, field_validator, model_validator
from yarl import URL

from esm.clients.http import Answered, Broken, Exchange, HttpClient, Lapsed, Limits, Unreached, open_client
from esm.clients.http.given import usable_headers, usable_url
from esm.clients.tls import tls_context, why_unreachable
from esm.core.notice import text_of
from esm.errors import Undeliverable
from esm.model import Finding, Notice
from esm.options import Duration, Options, Secret
from esm.plugins import DestinationContext, DestinationPlugin

_OURS = frozenset({"connection", "content-length", "content-type", "expect", "host", "transfer-encoding"})
_LONGEST_ANSWER = 64 * 1024
_AT_AWS = re.compile(r"https?://(?:[\w-]+\.)*(?:sqs|queue)[\w.-]*\.(?:amazonaws\.com|api\.aws)/", re.IGNORECASE)


def _parse(text: str) -> Mapping[str, Any] | None:
    if _AT_AWS.match(text):
        return None  # a queue
    return {"url": text} if text.lower().startswith(("http://", "https://")) else None


class HttpOptions(Options):
    """`timeout`: seconds from having a connection to the end of the answer. `headers` may hold secrets.

    `ca`: a PEM file with the authority to trust instead of the system's.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    url: str
    timeout: Annotated[Duration, Field(gt=0, le=900)] = 30.0
    headers: Mapping[str, Secret] = Field(default_factory=dict)
    ca: str | None = None

    @field_validator("url")
    @classmethod
    def _reachable(cls, text: str) -> str:
        return usable_url(text, "headers, where they stay")

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: Mapping[str, Secret]) -> Mapping[str, Secret]:
        return usable_headers(headers, _OURS)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ca is not None and URL(self.url).scheme != "https":
            raise ValueError("ca needs an https:// url")
        return self


class HttpDestination:
    """Implements `Destination` and `Checkable`."""

    def __init__(self, options: HttpOptions, client: HttpClient, tls: ssl.SSLContext | None) -> None:
        self._url = URL(options.url)
        self._tls = tls
        self._timeout = options.timeout
        self._client = client

    async def deliver(self, notice: Notice) -> None:
        exchange = await self._client.post(self._url, text_of(notice.document).encode(), {})
        if not (isinstance(exchange, Answered) and 200 <= exchange.status < 300):
            raise Undeliverable(f"{_shown(self._url)}: {_why(exchange, self._timeout)}")

    async def check(self) -> Sequence[Finding]:
        """Connects, handshake included, and sends nothing."""
        why = await why_unreachable(self._url, self._tls, self._timeout)
        cure = "start what takes the notices, or correct the URL"
        return [Finding(broken=True, text=f"{why}: {cure}")] if why else []


def _why(exchange: Exchange, timeout: float) -> str:
    match exchange:
        case Answered(status=status):
            return f"HTTP {status}"
        case Lapsed():
            return f"no complete answer within {timeout:g} s"
        case Unreached(why=why) | Broken(why=why):
            return " ".join(why.split())


@asynccontextmanager
async def open_http(options: HttpOptions, _: DestinationContext) -> AsyncIterator[HttpDestination]:
    """Raises ValueError when the authority's file cannot be used."""
    tls = None if options.ca is None else tls_context(options.ca, None, None)
    limits = Limits(timeout=options.timeout, connections=0, body=_LONGEST_ANSWER)
    headers = {"Content-Type": "application/json", "User-Agent": "esm", "Accept-Encoding": "identity"}
    headers |= {name: value.get_secret_value() for name, value in options.headers.items()}
    async with open_client(limits, headers, tls) as client:
        yield HttpDestination(options, client, tls)


def _called(options: HttpOptions) -> str:
    return _shown(URL(options.url))


def _shown(url: URL) -> str:
    """Without what may hold a secret."""
    return str(url.with_query(None).with_fragment(None))


def _patience(options: HttpOptions) -> float:
    """A connection may take as long as an answer, and one that was closed while it was idle is made anew."""
    return 4 * options.timeout + 5.0


PLUGIN = DestinationPlugin("http", HttpOptions, _parse, open_http, _called, patience=_patience)
