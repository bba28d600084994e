"""The account of a stream: what became of every record, in which order, and why any of them came twice.

It joins three witnesses outside the engine: what the stream holds when all is over, a journal that the function
kept itself, and what the destination was given. Of the engine only its log is asked, and that for one thing:
whether it told of a retry or a restart where a record came again.
"""

import signal
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, groupby, pairwise
from math import inf
from typing import Any, NamedTuple

from .consumer import Consumer
from .harness import Daemon
from .journal import Visit, group_of

_AGAIN = "records are sent again"
_READ = ("lane is read", "lane is read, after a stop that was none: calls are written down")


@dataclass(frozen=True)
class Accepted:
    """A record that the stream has taken, where it lies, and since when (monotonic seconds, 0 if unknown)."""

    body: str
    lane: str
    at: int
    since: float = 0.0


@dataclass(frozen=True)
class Life:
    """One daemon, `began` at some monotonic second, and what its log says."""

    began: float
    killed: bool
    lines: Sequence[Mapping[str, Any]] = field(repr=False)

    @cached_property
    def retried(self) -> set[str]:
        """The batches that the log says were sent again."""
        return {line["batch_id"] for line in self.lines if line.get("message") == _AGAIN}

    @cached_property
    def resumed(self) -> Mapping[str, Sequence[int]]:
        """Behind which positions each lane was read, as the log says; -1 for its beginning."""
        found: dict[str, list[int]] = defaultdict(list)
        for line in self.lines:
            if line.get("message") in _READ:
                found[line["lane"]].append(-1 if line["position"] is None else int(line["position"]))
        return found


def life(running: Daemon, *, killed: bool) -> Life:
    """Of a daemon that has just ended."""
    return Life(running.began, killed, running.logged())


def stop(running: Daemon) -> Life:
    """In order, with everything settled."""
    running.signal(signal.SIGTERM)
    assert running.wait() == 0, running.output
    return life(running, killed=False)


class Stall(NamedTuple):
    """So many seconds went by without a call, and so many restarts fell into them."""

    seconds: float
    restarts: int


@dataclass(frozen=True)
class StreamAccount:
    """Everything about one stream after the last daemon has ended.

    `sent` is in the order of each key; `parents` are the lanes before a lane.
    """

    sent: Sequence[Accepted]
    parents: Mapping[str, Collection[str]]
    consumer: Consumer
    lives: Sequence[Life]

    def balances(self) -> None:
        """Nothing is lost or made up, each key is in order over its lanes, and what came twice had a reason."""
        found = {
            "lost": sorted(self.lost()),
            "made up": sorted({visit.body for visit in self.consumer.journal.visits} - set(self._places)),
            "overtaking": self.overtakers(),
            "child before parent": self.hasty_children(),
            "again without a reason": self.again_without_reason(),
        }
        assert not any(found.values()), {what: some[:10] for what, some in found.items()}

    def lost(self) -> set[str]:
        """What was neither done nor given up."""
        return set(self._places) - set(self.done_at) - set(self.given_up)

    @cached_property
    def given_up(self) -> Mapping[str, int]:
        """What the destination knows of, and its size by then."""
        return self.consumer.dead.given_up()

    def overtakers(self) -> list[str]:
        """What came before an earlier record of its key was done, given up, or before it in the same batch."""
        batches = {batch: list(visits) for batch, visits in groupby(self._visits, key=lambda visit: visit.batch)}
        keys = _by_key([one.body for one in self.sent])
        places = {body: index for bodies in keys.values() for index, body in enumerate(bodies)}
        done_before = {key: self._done_before(bodies) for key, bodies in keys.items()}
        found = []
        for visits in batches.values():
            before: set[str] = set()
            for visit in visits:
                key, index = group_of(visit.body), places[visit.body]
                if done_before[key][index] > visit.began:
                    earlier = keys[key][:index]
                    found += [
                        f"{visit.body} before {body}"
                        for body in earlier
                        if body not in before and not self._was_settled(body, visit)
                    ]
                before.add(visit.body)
        return found

    def hasty_children(self) -> list[str]:
        """Lanes of which something came before all of their parents was done or given up."""
        first: dict[str, Visit] = {}
        for visit in self._visits:
            first.setdefault(self._places[visit.body].lane, visit)
        return [
            f"{lane} before {body} of {one.lane}"
            for lane, visit in first.items()
            for body, one in self._places.items()
            if one.lane in self.parents.get(lane, ()) and not self._was_settled(body, visit)
        ]

    def again(self) -> Counter[str]:
        """How often a record came again because of a logged "retry" or "restart", or for no reason: ""."""
        return Counter(why for _, why in self._again)

    def again_without_reason(self) -> list[str]:
        """What came again although the log tells of neither."""
        return [body for body, why in self._again if not why]

    def longest_stall(self) -> "Stall":
        """The longest time without a call while the stream held what was not done."""
        seconds, since = longest_silence(self.sent, self._visits, self.done_at)
        return Stall(seconds, sum(since < life.began < since + seconds for life in self.lives))

    @cached_property
    def _places(self) -> Mapping[str, Accepted]:
        return {one.body: one for one in self.sent}

    @cached_property
    def _visits(self) -> Sequence[Visit]:
        """In the order of their beginning, each call's together and in its own order."""
        return sorted(self.consumer.journal.visits, key=lambda visit: (visit.began, visit.batch))

    @cached_property
    def _again(self) -> Sequence[tuple[str, str]]:
        """Each time that a record came again, with why."""
        visits = sorted(self._visits, key=lambda visit: visit.body)
        return [
            (body, self._why(one, other))
            for body, each in groupby(visits, key=lambda visit: visit.body)
            for one, other in pairwise(each)
        ]

    @cached_property
    def done_at(self) -> Mapping[str, float]:
        done = [visit for visit in self._visits if visit.done]
        return {visit.body: visit.ended for visit in sorted(done, key=lambda visit: -visit.ended)}

    def _done_before(self, bodies: Sequence[str]) -> list[float]:
        """For each of these, since when all before it are done."""
        return list(accumulate((self.done_at.get(body, inf) for body in bodies), max, initial=-inf))

    def _was_settled(self, body: str, visit: Visit) -> bool:
        """By the time of that visit."""
        given_up = self.given_up.get(body, inf) <= self.consumer.held[visit.batch]
        return given_up or self.done_at.get(body, inf) <= visit.began

    def _why(self, one: Visit, other: Visit) -> str:
        earlier, later = self._index(one), self._index(other)
        if earlier == later:
            return "retry" if one.batch in self.lives[earlier].retried else ""
        was_cut = any(life.killed for life in self.lives[earlier:later])
        place = self._places[one.body]
        is_behind = any(at < place.at for at in self.lives[later].resumed.get(place.lane, ()))
        return "restart" if is_behind and (was_cut or not one.done) else ""

    def _index(self, visit: Visit) -> int:
        return max(index for index, life in enumerate(self.lives) if life.began <= visit.began)


def longest_silence(
    sent: Iterable[Accepted], visits: Sequence[Visit], done_at: Mapping[str, float]
) -> tuple[float, float]:
    """The longest time without one of these visits while some of `sent` was not done: seconds, and since when."""
    last = {visit.body: visit.ended for visit in visits}
    events = [(one.since, 1) for one in sent]
    events += [(min(done_at.get(body, inf), last[body]), -1) for body in last]
    events += [(visit.began, 0) for visit in visits]
    longest, undone, since = (0.0, 0.0), 0, inf
    for moment, change in sorted(events):
        if undone > 0:
            longest = max(longest, (moment - since, since))
        if change == 0 or undone <= 0:
            since = moment
        undone += change
    return longest


def _by_key(bodies: Sequence[str]) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = defaultdict(list)
    for body in bodies:
        keys[group_of(body)].append(body)
    return keys
