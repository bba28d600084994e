"""Workers that attach from outside. Nobody knows them or their number: they are there as long as they ask.

Between an answer and the next question a worker is nowhere to be seen, and one that starts anew takes a moment:
so whoever was here lately is still expected. That a connection ended says nothing, because some clients open one
for each request; what a worker has and does not bring back is decided by the timeout.
"""

from collections.abc import Callable

_LATELY = 5.0


class Visitors:
    """Implements `Place`. `address` is host and port they attach to, `secret` whether they need one."""

    def __init__(self, address: tuple[str, int], *, secret: bool, monotonic: Callable[[], float]) -> None:
        self.port = address[1]
        self._host = address[0] if address[0].startswith("127.") else "HOST"
        self._secret = secret
        self._monotonic = monotonic
        self._seen = float("-inf")
        self._trouble = ""
        self._stranger = False

    def attached(self) -> None:
        self._seen = self._monotonic()
        self._trouble = ""
        self._stranger = False

    def answered(self) -> None:
        self._seen = self._monotonic()

    def broken(self, why: str) -> None:
        self._trouble = why

    def stranger(self) -> None:
        self._stranger = True

    def abandon(self) -> None:
        """Out of our reach: it goes on, and its answer will find no such invocation."""

    def tail(self) -> str:
        """It prints elsewhere."""
        return ""

    def around(self, out: int) -> bool:
        """One of them can be expected to ask; `out` is how many invocations they have."""
        return out > 0 or self._monotonic() - self._seen < _LATELY

    def __str__(self) -> str:
        """What to do when there is none."""
        if self._trouble:
            return f"the last one that tried says {self._trouble}"
        attach = f"AWS_LAMBDA_RUNTIME_API={self._host}:{self.port}{'/SECRET' if self._secret else ''}"
        if self._stranger:
            return f"somebody asked at a wrong address or with a wrong secret: it has to be {attach}"
        return f"start one with {attach}"
