"""Where a request goes, worked out once per URL."""

from functools import lru_cache

from msgspec import Struct
from yarl import URL


class Origin(Struct, frozen=True):
    """A server. `host` without brackets; `tls` if it is spoken to through TLS."""

    tls: bool
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@lru_cache(maxsize=1024)
def origin_of(url: URL) -> Origin:
    """Of an http or https URL."""
    tls = url.scheme == "https"
    return Origin(tls, url.raw_host or "", url.port or (443 if tls else 80))
