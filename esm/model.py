"""The values that travel through the engine, frozen and free of any vendor.

A source makes `Record`s and hands them over in a `Page`; a batch of them becomes an `Invocation`; the
target answers with a `Reply`; judging turns the reply into a `Verdict`; a queue reports what it did with
that verdict as a `Settlement`. Nothing here knows which source or target it speaks of.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct


class Record(Struct, frozen=True, gc=False):
    """One message or stream record, encoded once.

    `seq` is its number in its lane since the lane was opened, without gaps or repeats, in source order.
    `id` is what `batchItemFailures` names. `key` is its ordering key, None where the source keeps no order.
    `arrived` is when the source accepted it (epoch seconds), `read` when we got it (monotonic seconds of the
    engine's clock). `event` is its JSON fragment, the very bytes the function will see. `handle` is opaque:
    only the source that made it looks inside. `position` is where it stands in a log, 0 in a queue.
    """

    seq: int
    id: str
    key: str | None
    arrived: float
    read: float
    event: bytes
    handle: Any
    position: int = 0


class Rejected(Struct, frozen=True):
    """A record that can never be sent, and why: a single record above the payload limit."""

    record: Record
    why: str


class Page(Struct, frozen=True):
    """What one read of a source returned, in source order."""

    records: tuple[Record, ...] = ()
    rejected: tuple[Rejected, ...] = ()


class Lane(Struct, frozen=True):
    """An ordered sub-stream with a name of its own: a queue, a shard, a partition.

    `parents` are the lanes whose records come before those of this one (a shard that was split or merged). `first`
    is the lowest position that its records can have, None where the source does not tell.
    """

    name: str
    parents: tuple[str, ...] = ()
    first: int | None = None


class LogPage(Struct, frozen=True):
    """What one read of a log returned, in source order.

    `upto` is how far the read came, which may be beyond the last record; None if it did not move. `ended`: the
    lane is closed and this was the end of it; then `children` are the lanes that go on, None where the source
    does not tell. `behind`: seconds to the end of the lane, None where the source does not tell; `end`: the
    position that the next record will get there, likewise. `lost` counts records that are gone because they were
    trimmed before they were read, None if nobody knows how many.
    """

    records: tuple[Record, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    upto: int | None = None
    ended: bool = False
    children: tuple[Lane, ...] | None = None
    behind: float | None = None
    lost: int | None = 0
    end: int | None = None


class RebalanceKind(StrEnum):
    """A group gave us lanes, takes them away in order, or has taken them; as `esm_rebalances_total` names it."""

    ASSIGNED = "assigned"
    REVOKED = "revoked"
    LOST = "lost"


class Rebalance(Struct, frozen=True):
    """A group shares its lanes out anew: what became of `lanes`; `ours` is how many we have from now on."""

    kind: RebalanceKind
    lanes: tuple[str, ...]
    ours: int


class Remark(Struct, frozen=True):
    """Something that a source has to say to people, once."""

    text: str


class Absence(Struct, frozen=True):
    """Nothing of a group is ours: it has nothing for us, or cannot be reached.

    Then there are `code` and `reason`, as of `Disconnected`. It is asked again after `pause` seconds.
    """

    code: str = ""
    reason: str = ""
    pause: float = 0.0


class Terms(Struct, frozen=True):
    """On what terms a queue hands out messages; all in seconds.

    `visibility`: how long a message is ours after a read or an extension. `longest`: how long it can be kept
    by extending, counted from its read (SQS: 12 hours). `retention`: how long the queue keeps it, counted
    from its arrival. `page`: the most messages one read may ask for.
    """

    visibility: float
    longest: float
    retention: float
    page: int = 10


class Backlog(Struct, frozen=True):
    """What a queue says of itself; None where it does not tell."""

    visible: int | None = None
    in_flight: int | None = None


class Settlement(Struct, frozen=True):
    """What became of the records a queue was told to delete.

    `overtook`: deleted, although one before it in its group could not be, which comes again behind it.
    """

    deleted: int = 0
    undeleted: tuple[Record, ...] = ()
    overtook: tuple[Record, ...] = ()


class Outcome(StrEnum):
    """How an invocation ended, as the metric `esm_invocations_total` names it."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FUNCTION_ERROR = "function_error"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    MISCONFIGURED = "misconfigured"
    UNREACHABLE = "unreachable"


class Invocation(Struct, frozen=True):
    """One call of a target.

    `attempt` counts from 1: how often this batch has been sent since it was read. `idempotency_key` is a hash
    of the record ids, so it is the same when the same batch is delivered again.
    """

    payload: bytes
    mapping: str
    batch_id: str
    attempt: int
    idempotency_key: str


class Returned(Struct, frozen=True):
    """The function answered; `payload` is its raw answer. `meta`: request id, executed version, …"""

    payload: bytes
    meta: Mapping[str, str] = {}


class Errored(Struct, frozen=True):
    """The function was reached and failed: `outcome` is FUNCTION_ERROR or TIMEOUT. Costs an attempt."""

    outcome: Outcome
    message: str
    meta: Mapping[str, str] = {}


class Refused(Struct, frozen=True):
    """The function was not reached: `outcome` is THROTTLED, MISCONFIGURED or UNREACHABLE. Costs nothing.

    `retry_after`: seconds the target asked us to wait, None when it did not say.
    """

    outcome: Outcome
    message: str
    retry_after: float | None = None
    meta: Mapping[str, str] = {}


Reply = Returned | Errored | Refused


class Verdict(Struct, frozen=True):
    """What a reply means for the records of its batch; the three lists are disjoint and cover the batch.

    `done` may be deleted, `failed` is left to the queue's own redelivery, `refused` never reached the
    function and is to be sent again as it is. `retry_after` is how long it asked us to wait, in seconds. `why`
    is for people: the error's text, the offending identifier.
    """

    outcome: Outcome
    done: tuple[Record, ...] = ()
    failed: tuple[Record, ...] = ()
    refused: tuple[Record, ...] = ()
    retry_after: float | None = None
    why: str = ""


class Drop(Struct, frozen=True):
    """Records that are given up, in order, and why.

    `condition` is AWS's word: RetryAttemptsExhausted, RecordAgeExceeded. `attempts` reached the function. `reply`
    is the last one, None if the records were never sent.
    """

    records: tuple[Record, ...]
    condition: str
    attempts: int
    reply: Reply | None = None


class Notice(Struct, frozen=True):
    """What a destination is told of records that were given up.

    `document` is AWS's invocation record, without payload. `event` is the event of the records, for destinations
    that take it. `at`: the document's timestamp, in epoch seconds; `scope`, `lane`: whose records they were.
    """

    document: Mapping[str, Any]
    event: bytes
    at: float
    scope: str
    lane: str


class Finding(Struct, frozen=True):
    """One remark of a check before the start: `broken` means it does not work, otherwise it is a warning."""

    broken: bool
    text: str


class DataKeys(Struct, frozen=True):
    """Where a source's records have their data, for filters: `names` are keys at the top of a record.

    A pattern expects an object or a plain string there, and a record may have the other. `lenient`: then only the
    rest of the pattern counts; otherwise the record is dropped. `only_json`: patterns for a string are refused.
    `fields`: every key that a record can have at its top; empty if that is not known.
    """

    names: tuple[str, ...] = ()
    lenient: bool = False
    only_json: bool = False
    fields: frozenset[str] = frozenset()
