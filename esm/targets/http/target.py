"""The HTTP target: one POST per invocation, over connections that stay open between calls."""

import asyncio
import base64
import hashlib
import hmac
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from urllib.parse import quote

from yarl import URL

from esm.clients.http import Exchange, HttpClient, Limits, open_client
from esm.clients.tls import knock, tls_context
from esm.model import Finding, Invocation, Reply
from esm.plugins import TargetContext
from esm.targets.http.options import Auth, HttpOptions
from esm.targets.http.redirects import next_hop
from esm.targets.http.replies import reply_to

_MOST_REDIRECTS = 5


class HttpTarget:
    """Implements `Target` and `Checkable`. `wall` gives epoch seconds."""

    def __init__(
        self,
        client: HttpClient,
        options: HttpOptions,
        tls: ssl.SSLContext | None,
        wall: Callable[[], float],
    ) -> None:
        self._client = client
        self._url = URL(options.url)
        self._options = options
        self._tls = tls
        self._wall = wall
        self._hops = _MOST_REDIRECTS if options.allow_redirects else 0
        self._secret = options.signature and options.signature.secret.get_secret_value().encode()

    async def invoke(self, call: Invocation) -> Reply:
        exchange, url = await self._post(call.payload, self._headers(call))
        return reply_to(
            exchange,
            url=url,
            refused=self._options.refused_statuses,
            timeout=self._options.timeout,
            now=self._wall(),
        )

    async def check(self) -> Sequence[Finding]:
        """Connects, handshake included, and sends nothing."""
        try:
            async with asyncio.timeout(self._options.timeout):
                await knock(self._url.host or "", self._url.port or 0, self._tls or self._url.scheme == "https")
        except (OSError, TimeoutError) as error:
            return [Finding(broken=True, text=f"cannot connect to {self._url.origin()}: {error or 'timeout'}")]
        return []

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[Exchange, URL]:
        """How it ended, and at which address."""
        url = self._url
        exchange = await self._client.post(url, body, headers)
        for _ in range(self._hops):
            there = next_hop(url, exchange)
            if there is None:
                break
            url = there
            exchange = await self._client.post(url, body, headers)
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
    options: HttpOptions, _: TargetContext, *, wall: Callable[[], float] = time.time
) -> AsyncIterator[HttpTarget]:
    """Raises ValueError when a TLS file cannot be used."""
    tls = None
    if options.tls is not None:
        tls = tls_context(options.tls.ca, options.tls.certificate, options.tls.key)
    limits = Limits(options.timeout, options.max_connections or 0, options.max_response_bytes)
    async with open_client(limits, _static_headers(options), tls) as client:
        yield HttpTarget(client, options, tls, wall)


def _static_headers(options: HttpOptions) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, */*;q=0.5",
        "Accept-Encoding": "identity",
        "User-Agent": "esm",
    }
    headers |= {name: value.get_secret_value() for name, value in options.headers.items()}
    if options.auth is not None:
        headers["Authorization"] = _authorization(options.auth)
    return headers


def _authorization(auth: Auth) -> str:
    if auth.basic is not None:
        pair = f"{auth.basic.username}:{auth.basic.password.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    bearer = auth.bearer.get_secret_value() if auth.bearer else ""
    return f"Bearer {bearer}"
