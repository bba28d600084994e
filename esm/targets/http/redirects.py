"""Where a redirected call may go: the same host, and never from TLS to plain text.

Headers may carry secrets and the event is not for strangers, so another host is a mistake of the
configuration. The call stays a POST: the event has to arrive.
"""

from yarl import URL

from esm.clients.http import Answered, Exchange
from esm.model import Refused

_REDIRECTS = frozenset({301, 302, 307, 308})


def next_hop(url: URL, exchange: Exchange | Refused) -> URL | None:
    """Where to send the call again; None if the exchange is no redirect that may be followed."""
    if not isinstance(exchange, Answered) or exchange.status not in _REDIRECTS:
        return None
    try:
        there = url.join(URL(exchange.headers.get("Location", "")))
    except ValueError:
        return None
    upgraded = (url.scheme, there.scheme, url.host) == ("http", "https", there.host)
    same = (url.scheme, url.host, url.port) == (there.scheme, there.host, there.port)
    return there if there != url and (upgraded or same) else None
