"""What a function says of its own failure, and how much of what others say is repeated. Pure.

Lambda's runtimes report `{"errorType": …, "errorMessage": …, "stackTrace": […]}`
(https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). Any other body is not shown: it may repeat
the payload it was sent.
"""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

_LONGEST_MESSAGE = 300


class Thrown(Struct, frozen=True):
    """`kind` is None where only a message was given: some errors of the service itself."""

    kind: str | None
    message: str

    @property
    def text(self) -> str:
        return f"{self.kind or 'Error'}: {self.message}"


def thrown(body: bytes) -> Thrown | None:
    """The error that a body reports, None if it reports none."""
    try:
        error: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(error, Mapping) or not isinstance(error.get("errorMessage"), str):
        return None
    kind = error.get("errorType")
    return Thrown(str(kind) if kind else None, error["errorMessage"])


def short(text: str) -> str:
    """On one line, and no longer than a log line bears."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}…"
