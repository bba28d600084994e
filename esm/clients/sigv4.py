"""AWS's signature of a request, version 4, with what stays the same between calls kept.

botocore's own signer costs more than sending the request does. This one gives the same headers, byte for byte,
for what is sent to a service other than S3 with its body signed ("Signing AWS API requests" of the IAM User
Guide): the key of a day, the canonical path and the order of the header names are worked out once.
"""

import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

from botocore.utils import normalize_url_path  # type: ignore[import-untyped]
from msgspec import Struct

_EMPTY: Mapping[str, str] = {}
_UNSIGNED = frozenset(
    {
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
"""What proxies may change on the way (botocore's list)."""


class Credentials(Protocol):
    """As botocore freezes them (`get_frozen_credentials`); `token` is set for temporary ones."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


class Request(Struct, frozen=True):
    """What is signed, as it is sent.

    `host`: the value of the Host header, with the port unless it is the scheme's own. `path` and `query` as they
    stand in the request line, percent-encoded. `headers`: no two names that differ in case only, and none of
    those that `sign` returns; Host may be left out.
    """

    host: str
    body: bytes
    method: str = "POST"
    path: str = "/"
    query: str = ""
    headers: Mapping[str, str] = _EMPTY


def sign(request: Request, credentials: Credentials, region: str, service: str, at: float) -> dict[str, str]:
    """The headers that are to be sent in addition: `X-Amz-Date`, `Authorization`, and the token if there is one.

    `at`: epoch seconds, by the clock of AWS. `service`: the name for signing, such as `sqs` or `lambda`.
    """
    date = _date(int(at))
    added = {"X-Amz-Date": date}
    if credentials.token:
        added["X-Amz-Security-Token"] = credentials.token
    values = {"host": request.host}
    for headers in (request.headers, added):
        for name, value in headers.items():
            values[name.lower()] = value
    names, listed = _signed_names(tuple(values))
    # What is no plain text line is folded as AWS folds it: no blanks at the ends, one between words.
    lines = "".join([f"{name}:{' '.join(values[name].split())}\n" for name in names])
    digest = hashlib.sha256(request.body).hexdigest()
    place = _canonical_place(request.path, request.query)
    canonical = f"{request.method}\n{place}\n{lines}\n{listed}\n{digest}"
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _key(credentials.secret_key, date[:8], region, service)
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    added["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={listed}, Signature={signature}"
    )
    return added


@lru_cache(maxsize=16)
def _date(second: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


@lru_cache(maxsize=256)
def _signed_names(names: tuple[str, ...]) -> tuple[Iterable[str], str]:
    """In order, and as they are listed."""
    signed = sorted(name for name in names if name not in _UNSIGNED)
    return signed, ";".join(signed)


@lru_cache(maxsize=1024)
def _canonical_place(path: str, query: str) -> str:
    """Path and query. What is percent-encoded already is encoded once more, as for every service but S3."""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else []
    return quote(normalize_url_path(path), safe="/~") + "\n" + "&".join(f"{key}={value}" for key, value in pairs)


@lru_cache(maxsize=256)
def _key(secret: str, day: str, region: str, service: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
