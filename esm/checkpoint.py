"""What is remembered of a log's lane between two runs: how far it is done, and what is failing above that.

A checkpoint says of every position what became of it: up to `at` everything is finished; above it a span is
either finished or belongs to a part that has failed before; a position in no span is fresh. A part carries its
retry budget, so that a restart does not begin it anew.
"""

from msgspec import Struct

Position = int
"""Where a record stands in its lane; a larger one comes later. A Kinesis sequence number is one as it is."""


class Start(Struct, frozen=True):
    """Where a lane without a checkpoint begins: at the oldest record, or at the first that arrived at `time`.

    `time` is in epoch seconds, None for the oldest. LATEST is resolved to a time once, before the first read, so
    that a restart before the first checkpoint loses nothing (D8).
    """

    time: float | None = None


class Budget(Struct, frozen=True):
    """What a part has used up of its retries.

    `attempts` reached the function and failed; the first of them at `first_failed` (epoch seconds). `in_flight`:
    it was being sent when this was written; `cuts`: how often in a row a crash cut it off. `given_up`: an operator
    wants it given up, whatever it has left.
    """

    attempts: int = 0
    first_failed: float | None = None
    in_flight: bool = False
    cuts: int = 0
    given_up: bool = False


class Span(Struct, frozen=True):
    """The positions from `first` to `last` that were read: all finished, or all of part number `part`."""

    first: Position
    last: Position
    part: int | None = None


class Checkpoint(Struct, frozen=True):
    """Everything up to and including `at` is finished; None if nothing is.

    `ended`: the lane is closed and all of it is finished. `spans` lie above `at`, disjoint and in order; `parts`
    are in the order in which they are to be sent. `clean` is False from the first write of an open lane to its
    last: then a crash may have cut off what is not written here.
    """

    at: Position | None = None
    ended: bool = False
    clean: bool = True
    spans: tuple[Span, ...] = ()
    parts: tuple[Budget, ...] = ()

    @property
    def settled(self) -> tuple[Span, ...]:
        """The spans above `at` that are finished."""
        return tuple(span for span in self.spans if span.part is None)


class LaneRow(Struct, frozen=True):
    """A lane's only row in a store: lease and checkpoint together.

    `scope` is the mapping's id. `epoch` counts the owners it has had, `counter` the writes of this one: together
    they are the row's version, and whoever writes must have seen the last one.
    """

    scope: str
    lane: str
    owner: str = ""
    epoch: int = 0
    counter: int = 0
    start: Start | None = None
    checkpoint: Checkpoint | None = None

    @property
    def known(self) -> Checkpoint:
        """Its checkpoint; that nothing is finished yet, if it has none."""
        return self.checkpoint or Checkpoint()
