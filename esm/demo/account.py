"""The account of one source, a queue, a stream or a table: where every message that was sent ended.

Pure, and blind to the engine: it is given what was sent, what the function wrote down, and what was found in the
queue and among the dead letters. What the on-failure destination of a stream was told of is a dead letter too.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from msgspec import Struct

from esm.demo.journal import Entry
from esm.demo.workload import Message, Nature


class Account(Struct, frozen=True):
    """Numbers of messages, and the ids of those that should not be where they are.

    `behind`: dead-lettered because they waited behind a message that never succeeds. `repeated`: worked off more
    than once, which at-least-once delivery allows. `lost`: sent and found nowhere.
    `strangers`: found and never sent. `twice`: worked off and yet dead-lettered or still waiting. `misplaced`:
    dead-lettered without a reason, or worked off although they cannot be. `overtaken`: see `_overtaken`.
    """

    source: str
    ordered: bool
    sent: int
    delivered: int
    dead: int
    behind: int
    waiting: int
    repeated: int
    lost: Collection[str]
    strangers: Collection[str]
    twice: Collection[str]
    misplaced: Collection[str]
    overtaken: Collection[str]

    @property
    def balanced(self) -> bool:
        """Every message is accounted for exactly once, and where it belongs."""
        wrong = (self.lost, self.strangers, self.twice, self.misplaced, self.overtaken)
        return self.sent == self.delivered + self.dead + self.waiting and not any(wrong)


class Found(Struct, frozen=True):
    """Ids of messages where they were found; `behind`: those that may be dead without being poison themselves."""

    dead: Collection[str] = ()
    waiting: Collection[str] = ()
    behind: Collection[str] = ()


def drawn_up(source: str, sent: Sequence[Message], journal: Sequence[Entry], found: Found) -> Account:
    """`journal` in the order of time, and of this source only."""
    known = {message.id: message for message in sent}
    done = Counter(entry.id for entry in journal if entry.done)
    delivered, dead, waiting = set(done), set(found.dead), set(found.waiting)
    anywhere = delivered | dead | waiting
    behind = dead & set(found.behind)
    return Account(
        source=source,
        ordered=any(message.group for message in sent),
        sent=len(known),
        delivered=len(delivered),
        dead=len(dead),
        behind=len(behind),
        waiting=len(waiting),
        repeated=sum(times > 1 for times in done.values()),
        lost=sorted(known.keys() - anywhere),
        strangers=sorted(anywhere - known.keys()),
        twice=sorted((delivered & (dead | waiting)) | (dead & waiting)),
        misplaced=sorted(_misplaced(known.values(), delivered, dead - behind)),
        overtaken=sorted(_overtaken(sent, journal, dead)),
    )


def _misplaced(messages: Collection[Message], delivered: set[str], dead: set[str]) -> set[str]:
    poison = {message.id for message in messages if message.nature is Nature.POISON}
    sound = {message.id for message in messages} - poison
    return (sound & dead) | (poison & delivered)


def behind_poison(sent: Sequence[Message]) -> set[str]:
    """In a message group that stops at a failure, what was received with the failing message fails with it."""
    return {message.id for message in sent if _stands_behind_poison(message, sent)}


def _stands_behind_poison(message: Message, sent: Sequence[Message]) -> bool:
    return (
        message.group is not None
        and message.nature is not Nature.POISON
        and any(
            other.group == message.group and other.number < message.number and other.nature is Nature.POISON
            for other in sent
        )
    )


def _overtaken(sent: Sequence[Message], journal: Sequence[Entry], dead: set[str]) -> set[str]:
    """Messages of a group that a later one was worked off before.

    Order is kept when, at the moment a message is first worked off, every earlier message of its group has been
    worked off, or has ended among the dead letters and failed for the last time.
    """
    settled_at = _settled_at(journal, dead)
    last: dict[str, float] = defaultdict(float)
    overtaken: set[str] = set()
    first_done = _first_done(journal)
    for message in sorted(sent, key=lambda message: message.number):
        if message.group is None:
            continue
        if message.id in first_done and first_done[message.id] < last[message.group]:
            overtaken.add(message.id)
        last[message.group] = max(last[message.group], settled_at.get(message.id, _never(message.id, dead)))
    return overtaken


def _first_done(journal: Sequence[Entry]) -> dict[str, float]:
    return {entry.id: entry.at for entry in reversed(journal) if entry.done}


def _settled_at(journal: Sequence[Entry], dead: set[str]) -> dict[str, float]:
    last_failure = {entry.id: float(entry.at) for entry in journal if not entry.done and entry.id in dead}
    return {**last_failure, **_first_done(journal)}


def _never(message_id: str, dead: set[str]) -> float:
    """One that died behind a poisonous message was never taken up; one that waits will settle after all others."""
    return 0.0 if message_id in dead else float("inf")
