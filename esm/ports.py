"""What the engine asks of a source and of a target: each port at most three methods, its contract in prose.

A new source or target implements one of these, registers by name (see `plugins`) and passes the shared suite
in `esm.testing`. Something a port cannot do is added by wrapping, not by an option.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from esm.checkpoint import LaneRow, Position, Start
from esm.model import (
    Absence,
    Backlog,
    Finding,
    Invocation,
    Lane,
    LogPage,
    Notice,
    Page,
    Rebalance,
    Record,
    Remark,
    Reply,
    Settlement,
    Terms,
)


class Codec(Protocol):
    """How records become the event of an invocation. Pure, and the same bytes for the same records."""

    @property
    def frame(self) -> int:
        """Bytes that `render` adds around the fragments, at most; between two fragments it adds exactly one."""

    def render(self, records: Sequence[Record]) -> bytes:
        """The event: header, fragments in the given order, trailer."""

    def view(self, record: Record) -> Mapping[str, Any]:
        """The record decoded, for filters: as in the event, and its data under the source's data keys.

        Data is text or bytes as it came, or an object where the source has it so. Made for a mapping with filters
        only; JSON values, with plain dicts and lists.
        """


class QueueReader(Protocol):
    """One queue, opened. A queue redelivers by itself, so there is no position: each record is settled.

    The engine may call `read` several times at once, and `settle` and `extend` while reads are open. A read is
    never cancelled while it can still return messages: they would be hidden for a whole visibility timeout.
    """

    @property
    def ordered(self) -> bool:
        """True if records carry a key whose order must be kept (FIFO groups)."""

    @property
    def terms(self) -> Terms:
        """The queue's terms as last seen."""

    async def read(self, limit: int, wait: float) -> Page:
        """At most `limit` records; waits up to `wait` seconds for the first, or less. An empty page is no error.

        Raises `Disconnected` when the queue cannot be read, `OverLimit` when it wants some settled first.
        """

    async def settle(
        self, done: Sequence[Record], failed: Sequence[Record], untried: Sequence[Record]
    ) -> Settlement:
        """Delete `done` in order, leave `failed` to the queue's own timeout, give `untried` back now.

        Retries by itself what may be retried and never raises for a single record: what could not be deleted
        is in the settlement. Giving back is best effort, the timeout does it otherwise.
        """

    async def extend(self, records: Sequence[Record], seconds: float) -> Collection[Record]:
        """Keep these for `seconds` from now. Returns those that are no longer ours.

        Raises `Disconnected` if the queue could not be asked; then nothing is known about any of them.
        """


class QueueSource(Protocol):
    """A configured queue, not yet opened. Cheap to make; no I/O before `open`."""

    @property
    def codec(self) -> Codec:
        """Renders the records that this source's readers return."""

    def lanes(self) -> AsyncIterator[Collection[Lane]]:
        """The whole current set of lanes, and again on every change.

        Asking for the next set says: the last one is applied, lanes that left it are drained.
        """

    def open(self, lane: Lane) -> AbstractAsyncContextManager[QueueReader]:
        """Raises `Disconnected` if the queue is missing, denied or unreachable."""


class LogReader(Protocol):
    """One lane of a log, opened. We replay it ourselves, so it is acknowledged by position.

    One read at a time. Cancelling a read loses nothing: the position is ours.
    """

    async def read(self, limit: int, wait: float) -> LogPage:
        """About `limit` records; waits up to `wait` seconds for the first. An empty page is no error.

        Continues after the last page: `seq` numbers the records and the rejected ones together. Raises
        `Disconnected` when the lane cannot be read now, `LaneGone` when it does not exist any more; a read after
        that continues at the same place. A position that was trimmed is no error: the page says what is lost.
        """


class LogCodec(Codec, Protocol):
    """How records of a log are described when they are given up."""

    def describe(self, lane: Lane, records: Sequence[Record]) -> Mapping[str, Any]:
        """The part of an invocation record that is the source's own: `{"KinesisBatchInfo": {…}}`."""


class LogSource(Protocol):
    """A configured log, not yet opened. Cheap to make; no I/O before `lanes`, `begin` or `open`."""

    @property
    def codec(self) -> LogCodec:
        """Renders and describes the records that this source's readers return."""

    async def begin(self) -> Start:
        """Where the mapping begins if it never ran, so that it can be written down. Raises `Disconnected`."""

    def lanes(self) -> AsyncIterator[Collection[Lane]]:
        """All lanes that hold records, closed ones too, with their parents; again on every change seen.

        Never a part of them: a parent that is not among them has expired. Raises `Disconnected`; then it is asked
        anew.
        """

    def open(self, lane: Lane, after: Position | Start) -> AbstractAsyncContextManager[LogReader]:
        """Reads on behind a position, or from a start. Raises `Disconnected`, `LaneGone`."""


class Membership(Protocol):
    """Our part of a group that shares the lanes of a log out among its members, and keeps their positions."""

    @property
    def rows(self) -> "LaneStore":
        """Where the checkpoints of our lanes are kept, fenced by the group (as text: `core.packing`).

        There is a row for each of them: where the group has no position yet, one whose `at` is right before where
        the mapping begins, which the first write keeps (D8). A write raises `LostLease` for a lane that is not
        ours any more, or was not in between.
        """

    def lanes(self) -> AsyncIterator[Collection[Lane]]:
        """The lanes that are ours now, and again whenever that changes.

        Asking for the next set says: the last one is applied, and what left it has been drained or cut off. Who
        shares the lanes out may be kept waiting that long. A lane that was lost and came back is left out in
        between. Raises `Disconnected`; then we join anew, as we do at once where there is no next set.
        """

    def open(self, lane: Lane, after: Position | None) -> AbstractAsyncContextManager[LogReader]:
        """Reads on behind a position; None: from the first record. Raises `Disconnected`, `LostLease`."""


@runtime_checkable
class Outspoken(Protocol):
    """A membership that tells of what the group does, beside the lanes that come of it."""

    def listen(self, tell: Callable[[Rebalance | Remark | Absence], None]) -> None:
        """From now on `tell` is told."""


@runtime_checkable
class GroupSource(Protocol):
    """A log whose lanes a group shares out. Cheap to make; no I/O before `join`."""

    @property
    def codec(self) -> LogCodec:
        """Renders and describes the records that this source's readers return."""

    @property
    def drain(self) -> float:
        """How long a lane that was taken from us may finish what is under way, in seconds.

        Its last commit may take two more: who shares the lanes out has to be patient that long.
        """

    def join(self) -> AbstractAsyncContextManager[Membership]:
        """Becomes a member; leaves the group at the end. Raises `Disconnected`."""


@runtime_checkable
class Recalling(Protocol):
    """A log that may not list everything that was begun, and wants to be told of it."""

    def recall(self, lanes: Collection[str]) -> None:
        """The names of all lanes that have a row, before the first listing: what they were part of is read on."""


class Destination(Protocol):
    """Where notices of records that were given up go."""

    async def deliver(self, notice: Notice) -> None:
        """Durable when it returns. Raises `Undeliverable`; then the same notice may come again."""


class LaneStore(Protocol):
    """The rows of lanes. Raises `StoreFailed` from each method; what was not said to be saved may be."""

    async def view(self, scope: str) -> Collection[LaneRow]:
        """All rows of a scope."""

    async def swap(self, old: LaneRow | None, new: LaneRow) -> bool:
        """Writes `new` if the row is still `old` (None: not there), durably; False if it is not."""

    async def forget(self, row: LaneRow) -> bool:
        """Removes a row if it is still that; False if it is not."""


@runtime_checkable
class Measured(Protocol):
    """A reader that can tell how much waits in its queue."""

    async def backlog(self) -> Backlog:
        """Asks the queue. Raises `Disconnected`."""


class Target(Protocol):
    """What records are delivered to. Opened once, shared by all mappings that name it."""

    async def invoke(self, call: Invocation) -> Reply:
        """One synchronous invocation. The target's own timeout runs from when the function has it.

        Never raises for what the function, the network or the target does: that is the reply. Cancelling it
        abandons the call; the function may still be running.
        """


class Pace(Protocol):
    """How often a target may be called, over all mappings that name it."""

    async def turn(self) -> None:
        """Returns when the next call may begin. Cancelling gives the turn up."""


@runtime_checkable
class Checkable(Protocol):
    """A source, target, destination or store that can say, before it runs, whether it answers.

    `esm validate --connect` asks it.
    """

    async def check(self) -> Sequence[Finding]:
        """Asks without consuming, invoking or delivering anything. Empty means: answers, nothing to remark."""
