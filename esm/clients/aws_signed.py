"""Signed requests to one AWS service, without what botocore does for each of them.

Who calls, where the service is and how it is reached are botocore's findings: credentials and their refresh,
region, endpoint, proxies and authorities are asked of its session and client once, or, for credentials, before
each call. What is left for a call is to sign and to send it.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from email.utils import parsedate_to_datetime
from functools import lru_cache
from os import environ
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from botocore.exceptions import NoCredentialsError  # type: ignore[import-untyped]
from botocore.httpsession import (  # type: ignore[import-untyped]
    ProxyConfiguration,
    create_urllib3_context,
    get_cert_path,
)
from botocore.utils import get_environ_proxies  # type: ignore[import-untyped]
from msgspec import Struct
from yarl import URL

from esm.clients.http import Answered, Exchange, HttpClient, Limits, Proxy, open_client, proxy_at
from esm.clients.sigv4 import Request, sign

_LONGEST_SKEW = 240.0  # AWS accepts signatures that are up to five minutes off
_SKEWED = re.compile(
    rb"RequestTimeTooSkewed|RequestExpired|RequestInTheFuture|InvalidSignature|SignatureDoesNotMatch|AuthFailure"
)


class Service(Struct, frozen=True):
    """Where a service is (`endpoint`, a URL), and for what a request to it is signed."""

    endpoint: str
    region: str
    name: str


class Signed:
    """Posts to a service. `credentials` as a session of aiobotocore gives them; `wall` is epoch seconds."""

    def __init__(self, http: HttpClient, service: Service, credentials: Any, wall: Callable[[], float]) -> None:
        self.service = service
        self._http = http
        self._credentials = credentials
        self._wall = wall
        self._ahead = 0.0

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        """`path` with its query, percent-encoded. Raises what botocore raises when credentials cannot be had.

        If the service finds the signature's time wrong and its own clock differs from ours, its clock is used
        from then on, and the call is made once more.
        """
        exchange = await self._post(path, headers, body)
        if isinstance(exchange, Answered) and exchange.status in {400, 401, 403} and self._was_off(exchange):
            return await self._post(path, headers, body)
        return exchange

    def over(self, http: HttpClient, endpoint: str) -> "Signed":
        """The same caller, over another client and at another endpoint of the service."""
        service = Service(endpoint, self.service.region, self.service.name)
        return Signed(http, service, self._credentials, self._wall)

    async def _post(self, path: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        if self._credentials is None:
            raise NoCredentialsError
        credentials = await self._credentials.get_frozen_credentials()
        place = _place(self.service.endpoint, path)
        request = Request(place.host, body, path=place.path, query=place.query, headers=headers)
        added = sign(request, credentials, self.service.region, self.service.name, self._wall() + self._ahead)
        return await self._http.post(place.url, body, {**headers, **added})

    def _was_off(self, answer: Answered) -> bool:
        """Whether the answer tells a time that is worth another try; remembers it."""
        if not _SKEWED.search(answer.body) and not _SKEWED.search(
            answer.headers.get("x-amzn-query-error", "").encode()
        ):
            return False
        try:
            theirs = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
        except ValueError:
            return False
        ours = self._wall()
        off = abs(theirs - ours - self._ahead) > _LONGEST_SKEW
        if off:
            self._ahead = theirs - ours
        return off


class _Place(Struct, frozen=True):
    url: URL
    host: str
    path: str
    query: str


@lru_cache(maxsize=1024)
def _place(endpoint: str, path: str) -> _Place:
    """An endpoint may have a path of its own; joined as botocore joins them."""
    base, (way, _, query) = urlsplit(endpoint), path.partition("?")
    whole = base.path if way == "/" else base.path.removesuffix("/") + way
    url = URL(urlunsplit((base.scheme, base.netloc, whole or "/", query, "")), encoded=True)
    return _Place(url, url.host_port_subcomponent or "", url.raw_path, url.raw_query_string)


def open_for(
    endpoint: str, limits: Limits, headers: Mapping[str, str], ca_bundle: str | None
) -> AbstractAsyncContextManager[HttpClient]:
    """A client for what is at an endpoint of AWS: proxies and authorities as botocore finds them.

    `ca_bundle`: the session's setting of that name, which AWS_CA_BUNDLE sets too. Raises OSError if it cannot be
    read.
    """
    tls = (
        _tls(get_cert_path(ca_bundle or environ.get("REQUESTS_CA_BUNDLE") or True))
        if _is_https(endpoint)
        else None
    )
    return open_client(limits, headers, tls, _proxy_for(endpoint))


def _is_https(endpoint: str) -> bool:
    return urlsplit(endpoint).scheme == "https"


def _proxy_for(endpoint: str) -> Proxy | None:
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in any case."""
    url = ProxyConfiguration(get_environ_proxies(endpoint)).proxy_url_for(endpoint)
    return proxy_at(url) if url else None


@lru_cache(maxsize=16)
def _tls(authorities: str) -> ssl.SSLContext:
    """Reading the authorities takes as long as hundreds of calls."""
    context: ssl.SSLContext = create_urllib3_context()
    context.check_hostname = True
    context.load_verify_locations(authorities)
    return context
