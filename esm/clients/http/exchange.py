"""The ways in which a call ends, and what a client may use."""

from collections.abc import Mapping

from msgspec import Struct


class Answered(Struct, frozen=True):
    """A complete answer; `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreached(Struct, frozen=True):
    """Nothing was sent: no name, no connection, no handshake. `cause` is None if time ran out."""

    why: str
    cause: Exception | None = None


class Lapsed(Struct, frozen=True):
    """The request was sent, and the answer was not complete in time."""


class Broken(Struct, frozen=True):
    """The request was sent, and what came back is no complete, well-formed answer of bearable size."""

    why: str


class Cut(Struct, frozen=True):
    """The request was sent and the connection ended before any byte of an answer."""

    why: str
    reused: bool


Exchange = Answered | Unreached | Lapsed | Broken


class Limits(Struct, frozen=True):
    """What one client may use.

    `timeout`: seconds from having a connection to the end of the answer; getting one may take as long again, of
    which making one, handshake included, may take `connect`. `connections`: most calls under way at once, 0 for
    any number. `body`: most bytes of an answer, after decompression.
    """

    timeout: float
    connections: int
    body: int
    connect: float = 10.0
