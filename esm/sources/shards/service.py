"""How one shard is asked, whatever the service: the port between it and the reader."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from msgspec import Struct

from esm.checkpoint import Position, Start
from esm.errors import Disconnected
from esm.model import Lane, Record, Rejected

EXPIRED = "ExpiredIterator"
THROTTLED = "Throttling"
TRIMMED = "TrimmedData"
"""Codes of `Disconnected` that a reader deals with itself; see `esm.clients.aws_errors`."""


class Fetched(Struct, frozen=True):
    """What one GetRecords answered.

    `items` are records as the service sent them, `size` is their bytes as it counts them. `next` is the iterator
    to go on with, None at the end of a closed shard; then `children` go on, None where the service does not tell.
    `behind`: seconds to the end of the shard, None where it does not tell.
    """

    items: Sequence[Any] = ()
    next: str | None = None
    children: tuple[Lane, ...] | None = None
    behind: float | None = None
    size: int = 0


@contextmanager
def numbers_of(service: str) -> Iterator[None]:
    """While sequence numbers are read: one that is no number is a bad answer, and the lane waits for a better one.

    Raises `Disconnected`.
    """
    try:
        yield
    except ValueError as error:
        reason = (
            f"{service} numbered a record with what is no number, so its place in the shard is unknown: {error}"
        )
        raise Disconnected("BadAnswer", reason) from None


class Shard(Protocol):
    """One shard of a stream. Each call is one request, not tried again; it raises `Disconnected`."""

    @property
    def page(self) -> int:
        """The most records that one `fetch` may ask for."""

    @property
    def idle(self) -> float:
        """Seconds between two reads when there is nothing more to read."""

    @property
    def inclusive(self) -> bool:
        """An iterator for a position begins with the record at it; if that is missing, it was trimmed."""

    async def iterator(self, place: Position | Start) -> str:
        """At or behind a position, or from a start. Raises `TRIMMED` where the service says so."""

    async def fetch(self, iterator: str, limit: int) -> Fetched:
        """At most `limit` records. Raises `EXPIRED`, `THROTTLED` and `TRIMMED` among others."""

    def position(self, item: Any) -> Position:
        """Where an item stands."""

    def encode(self, items: Sequence[Any], seq: int, read: float) -> tuple[list[Record], list[Rejected]]:
        """Items as records, numbered from `seq`; `read` is when they came (monotonic seconds).

        What cannot be sent is rejected, with a number of its own.
        """
