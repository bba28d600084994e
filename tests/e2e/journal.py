"""The journal that a function keeps itself of what it was brought, and bodies that tell what they are."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .function import Answer, Call, Function

Behaviour = Callable[[Call], Answer]
Left = Callable[[Call, Answer], set[str]]


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
