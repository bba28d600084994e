"""HTTP/1.1 calls whose every ending is a value: answered, unreached, lapsed or broken.

What a caller must know about a failed call is whether the other side can have acted on it. What fails before a
connection is there was never sent, what fails later may have been. There is one exception, a kept-alive
connection that the server had closed while it was idle: what was written to it is sent once more, over a new
connection, and only that answer counts (docs/decisions/0012).

The client is our own because every message passes through it three times or more, and a general client costs
several times what the rest of the engine does for a message (docs/decisions/0020). The parser is not: httptools
wraps the one of Node.js.
"""

from esm.clients.http.client import HttpClient, open_client
from esm.clients.http.exchange import Answered, Broken, Exchange, Lapsed, Limits, Unreached
from esm.clients.http.proxy import Proxy, ProxyRefused, proxy_at

__all__ = [
    "Answered",
    "Broken",
    "Exchange",
    "HttpClient",
    "Lapsed",
    "Limits",
    "Proxy",
    "ProxyRefused",
    "Unreached",
    "open_client",
    "proxy_at",
]
