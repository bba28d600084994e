"""Whether a URL and headers can be used as a person gives them, for the options of whatever calls over HTTP."""

import re
from collections.abc import Collection, Mapping

from yarl import URL

from esm.options import Secret

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def usable_url(text: str, instead: str) -> str:
    """The URL as it is. Raises ValueError; `instead` is where user and password belong."""
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("write http://host[:port]/path or https://host[:port]/path")
    if url.user is not None or url.password is not None:
        raise ValueError(f"no user or password in the URL: use {instead} secret")
    return text


def usable_headers(headers: Mapping[str, Secret], ours: Collection[str]) -> Mapping[str, Secret]:
    """The headers as they are. Raises ValueError; `ours` are names in lower case that the engine sets itself."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no header name")
        if name.lower() in ours:
            raise ValueError(f"{name} is set by the engine")
        if is_unprintable(value):
            raise ValueError(f"{name} holds a line break or another control character")
    return headers


def is_unprintable(value: Secret) -> bool:
    """True for what cannot stand in one header line."""
    return _UNPRINTABLE.search(value.get_secret_value()) is not None
