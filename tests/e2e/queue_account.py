"""The account of a queue: what became of every message, and whether whatever happened twice had a reason.

It joins three witnesses outside the engine: what was sent, a journal that the function kept itself, and what the
queue and its dead letters hold when all is over.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Any

from servers import Queue

from .harness import until
from .journal import Journal, Visit, group_of

# Between an answer and the delete that it causes a daemon may be killed or lose its queue.
_SETTLING = 5.0
_PATIENCE = 30.0


class Oracle:
    """Knows what was sent to a queue and where it can be."""

    def __init__(self, client: Any, queue: Queue) -> None:
        self.client = client
        self.queue = queue
        self.sent: list[str] = []

    def send(self, bodies: Sequence[str], group: str | None = None) -> None:
        """Sends these, which have to be different from all others, in order."""
        for start in range(0, len(bodies), 10):
            entries = [_entry(str(number), body, group) for number, body in enumerate(bodies[start : start + 10])]
            answer = self.client.send_message_batch(QueueUrl=self.queue.url, Entries=entries)
            assert not answer.get("Failed"), answer
        self.sent += bodies

    def depth(self) -> tuple[int, int]:
        """How many messages are visible and in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.client.get_queue_attributes(QueueUrl=self.queue.url, AttributeNames=names)["Attributes"]
        return int(told[names[0]]), int(told[names[1]])

    def drained(self, within: float = _PATIENCE) -> None:
        """Waits until the queue holds nothing any more."""
        until(lambda: self.depth() == (0, 0), f"{self.queue.name} empty", within)

    def waiting(self) -> list[str]:
        """Takes out what the queue holds, what is in flight included when it comes back."""
        return self._taken(self.queue.url)

    def dead(self) -> list[str]:
        """Takes out the dead letters."""
        assert self.queue.dead_letters is not None
        return self._taken(self.queue.dead_letters.url)

    def receives(self) -> list[int]:
        """Takes out what the queue holds; how often each had been received by then, this time included."""
        counts: list[int] = []
        self._taken(self.queue.url, counts)
        return counts

    def _taken(self, url: str, counts: list[int] | None = None) -> list[str]:
        bodies: list[str] = []
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def empty() -> bool:
            answer = self.client.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["ApproximateReceiveCount"]
            )
            for message in answer.get("Messages", ()):
                bodies.append(message["Body"])
                if counts is not None:
                    counts.append(int(message["Attributes"]["ApproximateReceiveCount"]))
                self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            told = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            return not answer.get("Messages") and not any(int(told[name]) for name in names)

        until(empty, f"{url} taken out")
        return bodies


@dataclass(frozen=True)
class Interruption:
    """A time after which it is unknown what became of what was under way: a kill, or an outage of the queue."""

    began: float
    ended: float

    def excuses(self, visit: Visit) -> bool:
        """The message of this visit may come again, although the function was done with it."""
        return visit.began <= self.ended and self.began <= visit.ended + _SETTLING


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


def _entry(id_: str, body: str, group: str | None) -> dict[str, str]:
    entry = {"Id": id_, "MessageBody": body}
    if group is not None:
        entry |= {"MessageGroupId": group, "MessageDeduplicationId": sha256(body.encode()).hexdigest()}
    return entry
