"""When a batch is due, and how large it may be.

The three triggers of an event source mapping: enough records, enough bytes, or the batching window over
since the oldest ready record was read. A room that cannot take more is a trigger of its own; lack of credit
is none.
"""

from typing import Protocol

from msgspec import Struct

PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of the largest event a synchronous invocation takes (AWS Lambda quotas: 6 MB)."""


class BatchRule(Struct, frozen=True):
    """The size of a batch: records, bytes of fragments with their separators, and the window in seconds."""

    size: int
    room: int
    window: float


class Waiting(Protocol):
    """What the triggers look at: only what could be sent now."""

    @property
    def ready(self) -> int:
        """Records whose key is not locked."""

    @property
    def ready_bytes(self) -> int:
        """Their fragments, each with a separator."""

    @property
    def oldest_read(self) -> float:
        """When the oldest of them was read. Only meaningful while `ready` is not 0."""


def due_in(waiting: Waiting, rule: BatchRule, now: float, *, room_is_full: bool) -> float | None:
    """Seconds until a batch is due: 0 means now, None that nothing is ready."""
    if not waiting.ready:
        return None
    if room_is_full or waiting.ready >= rule.size or waiting.ready_bytes >= rule.room:
        return 0.0
    return max(0.0, waiting.oldest_read + rule.window - now)


def share(ready: int, free: int, size: int, factor: int) -> int:
    """The most records for one of `free` workers, of `factor` in all, so that the others have something too.

    By turns would put every key into the first batch, and nobody else could do anything
    (docs/decisions: 24).
    """
    return min(size, max(-(-ready // max(1, free)), -(-size // factor)))


def room_for(frame: int) -> int:
    """Bytes of fragments and separators that fit into a payload with `frame` bytes around them.

    n fragments need n - 1 separators; counting one for each leaves one byte over, which is given back here.
    """
    return PAYLOAD_LIMIT - frame + 1
