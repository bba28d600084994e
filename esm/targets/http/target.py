"""The HTTP target: one POST per invocation, over connections that stay open between calls."""

import base64
import hashlib
import hmac
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from urllib.parse import quote

from yarl import URL

from esm.clients.aws import AwsOptions
from esm.clients.http import Exchange, HttpClient, Limits, open_client
from esm.clients.tls import tls_context, why_unreachable
from esm.model import Finding, Invocation, Refused, Reply
from esm.plugins import TargetContext
from esm.targets.http.options import Auth, HttpOptions
from esm.targets.http.redirects import next_hop
from esm.targets.http.replies import reply_to
from esm.targets.http.rie import own_reply, url_of
from esm.targets.signing import lambda_client, post

_MOST_REDIRECTS = 5

Post = Callable[[URL, bytes, Mapping[str, str]], Awaitable[Exchange | Refused]]
"""Sends a call; refused if it could not even be signed."""


class HttpTarget:
    """Implements `Target` and `Checkable`. `wall` gives epoch seconds."""

    def __init__(
        self,
        post: Post,
        options: HttpOptions,
        tls: ssl.SSLContext | None,
        wall: Callable[[], float],
    ) -> None:
        self._post = post
        self._emulated = options.protocol == "rie"
        self._url = url_of(URL(options.url)) if self._emulated else URL(options.url)
        self._options = options
        self._tls = tls
        self._wall = wall
        self._hops = _MOST_REDIRECTS if options.allow_redirects else 0
        self._secret = options.signature and options.signature.secret.get_secret_value().encode()

    async def invoke(self, call: Invocation) -> Reply:
        exchange, url = await self._follow(call.payload, self._headers(call))
        if isinstance(exchange, Refused):
            return exchange
        own = own_reply(exchange) if self._emulated else None
        return own or reply_to(
            exchange,
            url=url,
            refused=self._options.refused_statuses,
            timeout=self._options.timeout,
            now=self._wall(),
        )

    async def check(self) -> Sequence[Finding]:
        """Connects, handshake included, and sends nothing."""
        why = await why_unreachable(self._url, self._tls, self._options.timeout)
        return [Finding(broken=True, text=why)] if why else []

    async def _follow(self, body: bytes, headers: dict[str, str]) -> tuple[Exchange | Refused, URL]:
        """How it ended, and at which address."""
        url = self._url
        exchange = await self._post(url, body, headers)
        for _ in range(self._hops):
            there = next_hop(url, exchange)
            if there is None:
                break
            url = there
            exchange = await self._post(url, body, headers)
        return exchange, url

    def _headers(self, call: Invocation) -> dict[str, str]:
        headers = {
            "X-ESM-Mapping": _as_header(call.mapping),
            "X-ESM-Batch-Id": call.batch_id,
            "X-ESM-Attempt": str(call.attempt),
            "Idempotency-Key": call.idempotency_key,
        }
        if self._secret:
            headers["X-ESM-Signature"] = signature(self._secret, int(self._wall()), call.payload)
        return headers


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """HMAC SHA-256 over `<timestamp>.<body>`; the timestamp lets a receiver refuse what was recorded."""
    mac = hmac.digest(secret, b"%d.%b" % (timestamp, body), hashlib.sha256)
    return f"t={timestamp},v1={mac.hex()}"


@lru_cache(maxsize=4096)
def _as_header(name: str) -> str:
    """Mapping names may hold any letter, headers only ASCII: the rest is percent-encoded as in a URL."""
    return quote(name, safe=" !#$&'()*+,/:;=?@[]")


@asynccontextmanager
async def open_http(
    options: HttpOptions, context: TargetContext, *, wall: Callable[[], float] = time.time
) -> AsyncIterator[HttpTarget]:
    """Raises ValueError when a TLS file, or what `aws_iam` says, cannot be used."""
    tls = None
    if options.tls is not None:
        tls = tls_context(options.tls.ca, options.tls.certificate, options.tls.key)
    limits = Limits(options.timeout, options.max_connections or 0, options.max_response_bytes)
    caller = options.caller(context.aws)
    async with open_client(limits, _static_headers(options), tls) as client:
        if caller is None:
            yield HttpTarget(client.post, options, tls, wall)
        else:
            async with _signing(client, URL(options.url), caller) as signed:
                yield HttpTarget(signed, options, tls, wall)


@asynccontextmanager
async def _signing(client: HttpClient, url: URL, caller: AwsOptions) -> AsyncIterator[Post]:
    async with lambda_client(caller) as aws:
        signed = aws.signed.over(client, str(url.origin()))

        async def send(url: URL, body: bytes, headers: Mapping[str, str]) -> Exchange | Refused:
            return await post(signed, url.raw_path_qs, body, headers)

        yield send


def _static_headers(options: HttpOptions) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, */*;q=0.5",
        "Accept-Encoding": "identity",
        "User-Agent": "esm",
    }
    headers |= {name: value.get_secret_value() for name, value in options.headers.items()}
    return headers | (_authorization(options.auth) if options.auth is not None else {})


def _authorization(auth: Auth) -> dict[str, str]:
    """What is the same for all calls; with `aws_iam` each call is signed."""
    if auth.basic is not None:
        pair = f"{auth.basic.username}:{auth.basic.password.get_secret_value()}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {"Authorization": f"Bearer {auth.bearer.get_secret_value()}"} if auth.bearer is not None else {}
