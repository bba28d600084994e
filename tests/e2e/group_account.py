"""The account of a topic whose partitions daemons share: what is lost, what overtook, why something came twice.

To what `StreamAccount` knows it adds several daemons at a time, each of which says in its calls who it is. A
record comes again because the log of a daemon told of a retry, because a daemon was killed, or because the
group moved the partition; in the last two cases only if none had told before that it is written down.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby, pairwise
from math import inf
from typing import Any, NamedTuple

from servers.topics import Topic

from .consumer import Consumer
from .harness import Daemon
from .journal import Visit
from .stream_account import Accepted, StreamAccount, life, longest_silence

WHO = "X-Who"
_TAKEN_AWAY = {
    "the group shares its partitions out: revoked": "revoked",
    "the group shares its partitions out: lost": "lost",
    "lane was taken by somebody else, it is opened again if it is still ours": "lost",
}
"""The last is told when a commit is refused: the newer protocol asks partitions back from one that was held."""
_CUT_OFF = "records were being sent when the process ended, and are sent again"
_ON_ITS_WAY = 0.5
"""Seconds until a function notices a call, at most."""
_EPOCH = time.time() - time.monotonic()


class Change(NamedTuple):
    """A partition was "revoked" or "lost", or a call of it found "cut off", at that monotonic second."""

    at: float
    lane: str
    kind: str


class Checkpoint(NamedTuple):
    """All up to an offset of a lane was told to be written down, at that monotonic second."""

    at: float
    lane: str
    offset: int


@dataclass(frozen=True)
class Member:
    """A daemon that has ended; `killed` is since when (monotonic seconds), endless if it was not.

    `cut_off` is when it found of a lane that a call had not ended with the one who had it before.
    """

    retried: set[str]
    changes: Sequence[Change]
    checkpoints: Sequence[Checkpoint]
    killed: float = inf
    cut_off: Sequence[Change] = ()

    @property
    def was_killed(self) -> bool:
        """It did not end in order."""
        return self.killed < inf


def member(running: Daemon, killed: float = inf) -> Member:
    """What is to be known of one that has just ended."""
    lines = running.logged()
    if killed < inf:  # one that was held before has been dead to its group since then
        killed = min([killed, *(_moment(line) for line in lines[-1:])])
    retried = life(running, killed=killed < inf).retried
    cut_off = [Change(_moment(line), line["lane"], "cut off") for line in lines if line["message"] == _CUT_OFF]
    return Member(retried, [*_changes(lines)], [*_checkpoints(lines)], killed, cut_off)


def _changes(lines: Sequence[Mapping[str, Any]]) -> Iterator[Change]:
    for line in lines:
        if kind := _TAKEN_AWAY.get(line["message"]):
            yield from (Change(_moment(line), lane, kind) for lane in line.get("lanes") or [line["lane"]])


def _checkpoints(lines: Sequence[Mapping[str, Any]]) -> Iterator[Checkpoint]:
    for line in lines:
        if line["message"] == "checkpoint written" and line["at"] is not None:
            yield Checkpoint(_moment(line), line["lane"], int(line["at"]))


def _moment(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp() - _EPOCH


@dataclass(frozen=True)
class GroupAccount:
    """Everything about one topic after the last daemon has ended; `members` are by what they call themselves."""

    sent: Sequence[Accepted]
    consumer: Consumer
    members: Mapping[str, Member]

    def balances(self) -> None:
        """Nothing is lost or made up, each key is in order over all daemons, and what came twice had a reason."""
        found = {
            "lost": sorted(self.stream.lost()),
            "made up": sorted({visit.body for visit in self.consumer.journal.visits} - set(self._places)),
            "overtaking": self.stream.overtakers(),
            "again without a reason": self._unexplained(),
        }
        assert not any(found.values()), {what: some[:10] for what, some in found.items()}

    def _unexplained(self) -> list[str]:
        """With who had it when, in the time of their logs."""
        return [
            f"{one.body} by {self._who[one.batch]} {_clock(one.began)} to {_clock(one.ended)}, "
            f"{'done' if one.done else 'not done'}, and by {self._who[other.batch]} {_clock(other.began)}"
            for one, other, why in self._again
            if not why
        ]

    def finished(self, topic: Topic, group: str) -> None:
        """The group has committed all that the topic holds."""
        assert {number: place.offset for number, place in topic.committed(group).items()} == topic.ends()

    def again(self) -> Counter[str]:
        """How often a record came again because of a "retry", a "kill" or a "rebalance", or for no reason: ""."""
        return Counter(why for _, _, why in self._again)

    def cut_off(self) -> set[str]:
        """What was there when a call of its lane counted as cut off, which uses up a retry of what was in it."""
        last: dict[str, float] = {}
        for change in [change for member in self.members.values() for change in member.cut_off]:
            last[change.lane] = max(change.at, last.get(change.lane, change.at))
        return {one.body for one in self.sent if one.since <= last.get(one.lane, -inf)}

    def longest_silence(self) -> tuple[float, str]:
        """The longest time that a partition had something to do and nobody called: seconds, and which one."""
        lanes = {one.lane for one in self.sent}
        return max((self._silence(lane), lane) for lane in lanes)

    @cached_property
    def stream(self) -> StreamAccount:
        """The same without the daemons."""
        return StreamAccount(self.sent, {}, self.consumer, ())

    def _silence(self, lane: str) -> float:
        visits = [visit for visit in self.consumer.journal.visits if self._places[visit.body].lane == lane]
        sent = [one for one in self.sent if one.lane == lane]
        seconds, _ = longest_silence(sent, visits, self.stream.done_at)
        return seconds

    @cached_property
    def _places(self) -> Mapping[str, Accepted]:
        return {one.body: one for one in self.sent}

    @cached_property
    def _who(self) -> Mapping[str, str]:
        """By batch."""
        return {call.headers["X-ESM-Batch-Id"]: call.headers[WHO] for call in self.consumer.served.calls}

    @cached_property
    def _again(self) -> Sequence[tuple[Visit, Visit, str]]:
        visits = sorted(self.consumer.journal.visits, key=lambda visit: (visit.body, visit.began))
        return [
            (one, other, self._why(one, other))
            for _, each in groupby(visits, key=lambda visit: visit.body)
            for one, other in pairwise(each)
        ]

    def _why(self, one: Visit, other: Visit) -> str:
        earlier, later = (self.members[self._who[visit.batch]] for visit in (one, other))
        lane = self._places[one.body].lane
        if not one.done and one.batch in earlier.retried:
            return "retry"  # by whoever has it then
        if any(
            change.lane == lane and change.kind == "lost" and change.at + _ON_ITS_WAY >= other.began
            for change in later.changes
        ):
            return "rebalance"  # it was not the owner any more, and did not know when it called
        if self._was_written_down(self._places[one.body], other.began):
            return ""
        if earlier.killed <= other.began:
            return "kill"  # the function may have noticed its last call only afterwards
        return "rebalance" if any(_explains(change, one, lane) for change in earlier.changes) else ""

    def _was_written_down(self, place: Accepted, by: float) -> bool:
        return any(
            told.lane == place.lane and told.offset >= place.at and told.at < by
            for one in self.members.values()
            for told in one.checkpoints
        )


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment + _EPOCH, UTC).strftime("%H:%M:%S.%f")[:-3]


def _explains(change: Change, one: Visit, lane: str) -> bool:
    """What was finished before a partition was asked back is committed; of one that is lost nothing is."""
    if change.lane != lane:
        return False
    if change.kind == "lost":
        return change.at + _ON_ITS_WAY >= one.began
    return change.at >= one.began and (not one.done or one.ended >= change.at)
