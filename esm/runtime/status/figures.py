"""What can be seen of one lane of a log from outside."""

from msgspec import Struct

from esm.checkpoint import Position

_SILENT = 60.0


class LaneFigures(Struct, frozen=True):
    """One lane at one moment.

    `at`: its mark; `written`: as far as it is durable. `behind`: seconds to its end as the source says, None if it
    does not; `end`: the position that the next record gets there, likewise. `age`: of the oldest record that was
    read and is not finished, in seconds. `gathered` records wait, `past_mark` were read beyond the mark, `pending`
    batches are not finished, `attempts` the most that one of them has failed. `held_by` is the record that holds
    the mark, `key` its ordering key, `stalled` why the lane cannot go on, each empty if nothing does. `crowded`:
    nothing more is read until that record is finished. `calls` counts invocations since the lane was opened,
    `in_flight` those that have not ended. `unanswered`: seconds for which the source has owed an answer, to a read
    or, while the lane `is_open` not yet, to its opening.
    """

    at: Position | None = None
    written: Position | None = None
    behind: float | None = None
    end: Position | None = None
    age: float = 0.0
    gathered: int = 0
    past_mark: int = 0
    pending: int = 0
    attempts: int = 0
    held_by: str = ""
    key: str = ""
    held_bytes: int = 0
    stalled: str = ""
    crowded: bool = False
    calls: int = 0
    in_flight: int = 0
    unanswered: float = 0.0
    is_open: bool = True

    @property
    def committed(self) -> Position:
        """Where it would go on, of a lane that tells its end."""
        return 0 if self.written is None else self.written + 1

    @property
    def lag(self) -> int | None:
        """How much lies between what is durable and the end; None if the source does not tell where that is."""
        return None if self.end is None else max(0, self.end - self.committed)

    @property
    def is_answered(self) -> bool:
        """The source is not silent for longer than any read waits."""
        return self.unanswered < _SILENT

    @property
    def has_data(self) -> bool:
        """There is something to do, or nobody knows."""
        return bool(self.past_mark or self.behind) or not self.is_answered
