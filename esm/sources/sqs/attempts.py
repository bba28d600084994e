"""Receives of a FIFO queue whose answer got lost, so that the same messages can be asked for again.

A receive names its attempt. If the answer never comes, its messages are in flight all the same, and their
groups are blocked for a whole visibility timeout, unless the same attempt is repeated: then SQS returns the same
messages (ReceiveRequestAttemptId in the SQS API reference, within five minutes).
"""

from msgspec import Struct

from esm.world import World

_REPEATABLE = 300.0


class Attempt(Struct, frozen=True):
    """One receive: its id, how many messages it asks for, and when it was first made (monotonic seconds)."""

    id: str
    limit: int
    began: float


class Attempts:
    """The attempts that wait for a repetition."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._unanswered: list[Attempt] = []

    def next(self, limit: int) -> Attempt:
        """One to repeat if there is one that asks for no more than `limit`, else a new one."""
        now = self._world.monotonic()
        self._unanswered = [each for each in self._unanswered if now < each.began + _REPEATABLE]
        for attempt in self._unanswered:
            if attempt.limit <= limit:
                self._unanswered.remove(attempt)
                return attempt
        return Attempt(self._world.new_id(), limit, now)

    def unanswered(self, attempt: Attempt) -> None:
        """Its answer was lost."""
        self._unanswered.append(attempt)
