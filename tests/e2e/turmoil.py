"""What may happen to daemons that share a topic, and to its brokers: by chance, one thing after the other.

Things come as cards of a deck that is shuffled anew when it is used up, so that a short run has of everything. At
least one daemon is neither held nor told to end, and at most one broker is away.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from math import inf
from random import Random
from typing import TypeVar

from confluent_kafka import KafkaException

from servers import KafkaCluster

from .scene import Scene

T = TypeVar("T")

_MOST_DAEMONS = 4
_MOST_PARTITIONS = 7
_BETWEEN = 0.1, 0.9
_HELD = 1.0, 9.0  # mostly longer than any session
_AWAY = 1.0, 4.0
_ANSWER_SECONDS = 2.0


@dataclass
class Turmoil:
    """`slots` are the names of static members, each for one daemon at a time; without any members are dynamic.

    `happened` counts what did.
    """

    scene: Scene
    cluster: KafkaCluster
    chance: Random
    slots: frozenset[str] = frozenset()
    happened: Counter[str] = field(default_factory=Counter)
    _numbers: Iterator[int] = field(default_factory=count)
    _slot: dict[str, str] = field(default_factory=dict)
    _held: dict[str, float] = field(default_factory=dict)
    _again: set[str] = field(default_factory=set)
    _away: dict[int, float] = field(default_factory=dict)

    def run(self, seconds: float) -> None:
        """So long; then what is held goes on, and brokers are back."""
        for _ in range(2 - len(self.scene.running)):
            self._add()
        deadline = time.monotonic() + seconds
        deck: list[str] = []
        while (now := time.monotonic()) < deadline:
            self._heal(now)
            deck = self._play(deck or self.chance.sample(sorted(self._things), len(self._things)))
            time.sleep(self.chance.uniform(*_BETWEEN))
        self._heal(inf)

    def _play(self, deck: list[str]) -> list[str]:
        """The first card that can be played; what is left of the deck, nothing if none can."""
        for name in deck:
            with suppress(KafkaException, OSError):  # brokers that are busy with each other: another time
                if self._things[name]():
                    self.happened[name] += 1
                    return [other for other in deck if other != name]
        return []

    @property
    def _things(self) -> dict[str, Callable[[], bool]]:
        """What there is, by name; each says whether it could be done."""
        return {
            "added": self._add,
            "killed": self._kill,
            "killed and replaced": lambda: self._kill() and self._add(),
            "ended": self._end,
            "ended and restarted": self._restart,
            "held": self._hold,
            "broker killed": self._kill_a_broker,
            "leader moved": self._move_a_leader,
            "partition added": self._widen,
        }

    # Daemons

    def _add(self) -> bool:
        taken = {slot for who, slot in self._slot.items() if self._is_alive(who)}
        free = sorted(self.slots - taken)
        if len(self.scene.running) >= _MOST_DAEMONS or (self.slots and not free):
            return False
        who = f"m{next(self._numbers)}"
        if free:
            self._slot[who] = self.chance.choice(free)
            self.scene.start(who, group_instance_id=self._slot[who])
        else:
            self.scene.start(who)
        return True

    def _is_alive(self, who: str) -> bool:
        known = {**self.scene.running, **self.scene.ending}
        return who in known and known[who].process.poll() is None

    def _one_of_several(self) -> str | None:
        """Without which others still work."""
        awake = sorted(self.scene.running.keys() - self._held.keys())
        return self.chance.choice(awake) if len(awake) > 1 else None

    def _kill(self) -> bool:
        if who := self._one_of_several():
            self.scene.kill(who)
        return who is not None

    def _end(self) -> bool:
        who = self._one_of_several()
        if who is None or not self.scene.running[who].lines("ready"):
            return False
        self.scene.end(who)
        return True

    def _restart(self) -> bool:
        """Another takes its place as soon as it has ended."""
        if is_ending := self._end():
            self._again.add(next(reversed(self.scene.ending)))
        return is_ending

    def _hold(self) -> bool:
        if who := self._one_of_several():
            self.scene.running[who].signal(signal.SIGSTOP)
            self._held[who] = time.monotonic() + self.chance.uniform(*_HELD)
        return who is not None

    # Brokers

    def _kill_a_broker(self) -> bool:
        if not self._is_whole:
            return False
        broker = self.chance.choice(sorted(self.cluster.brokers))
        self.cluster.brokers[broker].kill()
        self._away[broker] = time.monotonic() + self.chance.uniform(*_AWAY)
        return True

    def _move_a_leader(self) -> bool:
        if not self._is_whole:
            return False
        partition, leader = self.chance.choice(sorted(self.scene.topic.leaders().items()))
        self.cluster.move(self.scene.topic, partition, leader % len(self.cluster.brokers) + 1)
        return True

    def _widen(self) -> bool:
        if not self._is_whole or self.scene.load.partitions >= _MOST_PARTITIONS:
            return False
        partitions = len(self.scene.topic.leaders()) + 1
        self.scene.topic.grow(partitions)
        self.scene.load.widen(partitions)
        return True

    @property
    def _is_whole(self) -> bool:
        with suppress(KafkaException):
            return not self._away and self.scene.topic.is_in_sync(_ANSWER_SECONDS)
        return False

    # Time

    def _heal(self, now: float) -> None:
        """What has been held or away for long enough; `now` may be the end of time."""
        for who in _due(self._held, now):
            self.scene.running[who].signal(signal.SIGCONT)
        for broker in _due(self._away, now):
            self.cluster.brokers[broker].start()
        for who in [who for who in self._again if not self._is_alive(who)]:
            self._again.remove(who)
            self._add()


def _due(times: dict[T, float], now: float) -> list[T]:
    """Takes out what should be over by now."""
    due = [one for one, until in times.items() if until <= now]
    for one in due:
        del times[one]
    return due
