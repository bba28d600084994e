"""The account of a run: what became of every message, and whether whatever happened twice had a reason.

It joins three witnesses outside the engine: what was sent, a journal that the function kept itself, and what the
queue and its dead letters hold when all is over.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .harness import Answer, Call, Function, Oracle

Behaviour = Callable[[Call], Answer]
Left = Callable[[Call, Answer], set[str]]

# Between an answer and the delete that it causes a daemon may be killed or lose its queue.
_SETTLING = 5.0


def succeed(_: Call) -> Answer:
    """The behaviour of a function without faults."""
    return Answer()


@dataclass(frozen=True)
class Visit:
    """One message at the function, once, in the call `batch`. Times are monotonic seconds."""

    body: str
    began: float
    ended: float
    receives: int
    done: bool
    batch: str = ""


@dataclass(frozen=True)
class Interruption:
    """A time after which it is unknown what became of what was under way: a kill, or an outage of the queue."""

    began: float
    ended: float

    def excuses(self, visit: Visit) -> bool:
        """The message of this visit may come again, although the function was done with it."""
        return visit.began <= self.ended and self.began <= visit.ended + _SETTLING


class Journal:
    """What a function notes of its calls, wrapped around what it does.

    `left` says which messages an answer leaves undone. `now` is how many calls it has at the moment, `refused`
    when it said that it takes none.
    """

    def __init__(self, served: Function, behave: Behaviour = succeed, left: Left = Function.failed) -> None:
        self._behave = behave
        self._left = left
        self._lock = threading.Lock()
        self.now = 0
        self.most_at_once = 0
        self.visits: list[Visit] = []
        self.refused: list[float] = []
        served.behave = self

    def __call__(self, call: Call) -> Answer:
        with self._lock:
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        try:
            answer = self._behave(call)
        finally:
            with self._lock:
                self.now -= 1
        self._note(call, answer)
        return answer

    def of(self, body: str) -> list[Visit]:
        """The visits of one message, in order."""
        return sorted((visit for visit in self.visits if visit.body == body), key=lambda visit: visit.began)

    @property
    def done(self) -> Counter[str]:
        """How often each message was done."""
        return Counter(visit.body for visit in self.visits if visit.done)

    def _note(self, call: Call, answer: Answer) -> None:
        ended = time.monotonic()
        with self._lock:
            if answer.status in {429, 503}:
                self.refused.append(call.at)
                return
            failed = self._left(call, answer)
            batch = call.headers.get("X-ESM-Batch-Id", "")
            self.visits += [
                Visit(body, call.at, ended, receives, body not in failed, batch)
                for body, receives in zip(call.bodies, call.receives, strict=True)
            ]


@dataclass(frozen=True)
class Account:
    """Everything about one queue after the last daemon has ended."""

    sent: Sequence[str]
    journal: Journal
    waiting: Counter[str]
    dead: Counter[str]
    interruptions: Sequence[Interruption] = field(default=())

    def balances(self) -> None:
        """Nothing is lost, nothing is made up, nothing happened twice without a reason."""
        ends = self.journal.done + self.waiting + self.dead
        assert not set(self.sent) - set(ends), "lost"
        assert not set(ends) - set(self.sent), "made up"
        assert self.unexplained() == []

    def unexplained(self) -> list[str]:
        """What came again although the function was done with it and nothing had interrupted that."""
        return sorted(body for body in set(self.sent) if not self._explained(body))

    def exactly_once(self) -> None:
        """Each message was done once and is nowhere else, and no receive was spent on anything but that."""
        self.balances()
        assert self.journal.done == Counter(self.sent)
        assert not self.waiting + self.dead
        self.no_receive_burnt()

    def no_receive_burnt(self) -> None:
        """Every receive was a visit: the first visit was the first receive, and so on."""
        assert self.burnt() == {}

    def burnt(self) -> dict[str, list[int]]:
        """The receive counts of messages that were received without being brought to the function."""
        counts = {body: [visit.receives for visit in self.journal.of(body)] for body in set(self.sent)}
        return {body: found for body, found in counts.items() if found != list(range(1, len(found) + 1))}

    def in_order(self) -> None:
        """Messages `group/…` first came in the order in which they were sent, one batch of a group at a time."""
        visits = sorted(self.journal.visits, key=lambda visit: visit.began)
        for group in {group_of(body) for body in self.sent}:
            first = list(dict.fromkeys(visit.body for visit in visits if group_of(visit.body) == group))
            assert first == [body for body in self.sent if group_of(body) == group and body in first]
            batches = sorted({(visit.began, visit.ended) for visit in visits if group_of(visit.body) == group})
            assert all(self._apart(one, other) for one, other in pairwise(batches)), f"{group}: two at once"

    def _apart(self, one: tuple[float, float], other: tuple[float, float]) -> bool:
        return one[1] <= other[0] or any(
            one[0] <= cut.ended and cut.began <= other[0] for cut in self.interruptions
        )

    def _explained(self, body: str) -> bool:
        visits = self.journal.of(body)
        came_again = visits[:-1] if not self.waiting[body] + self.dead[body] else visits
        if self.waiting[body] + self.dead[body] > 1:
            return False
        return all(not visit.done or any(cut.excuses(visit) for cut in self.interruptions) for visit in came_again)


def account(oracle: Oracle, journal: Journal, interruptions: Sequence[Interruption] = ()) -> Account:
    """Takes out what the queue and its dead letters hold; no daemon may be running any more."""
    dead = oracle.dead() if oracle.queue.dead_letters else []
    return Account(oracle.sent, journal, Counter(oracle.waiting()), Counter(dead), tuple(interruptions))


def numbered(count: int, prefix: str = "order") -> list[str]:
    """Bodies that are different from each other."""
    return [f"{prefix}/{number}" for number in range(count)]


def grouped(groups: int, count: int) -> Iterator[tuple[str, list[str]]]:
    """For each group its bodies, which begin with its name."""
    for group in range(groups):
        yield f"g{group}", numbered(count, f"g{group}")


def rest_of_groups(call: Call, answer: Answer) -> set[str]:
    """What an answer leaves undone with `fifo_failure: group`: what stands behind a failure in its group too."""
    left = Function.failed(call, answer)
    broken: set[str] = set()
    for body in call.bodies:
        if body in left or group_of(body) in broken:
            broken.add(group_of(body))
            left.add(body)
    return left


def group_of(body: str) -> str:
    return body.partition("/")[0]
