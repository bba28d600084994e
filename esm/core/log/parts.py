"""Who has records that were handed out and are not finished: an owner, with its parts first part first.

A batch that fails stays with its owner, as one part or, bisected, as several; the keys of its records stay
locked until the owner has no unfinished record of them. Parts that share no key need not wait for each other.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from math import inf

from msgspec import Struct, structs

from esm.checkpoint import Budget, Position
from esm.model import Record, Reply

Key = str | None
KeyOf = Callable[[Record], Key]

UNTRIED = Budget()


class Part(Struct, frozen=True):
    """Records that are sent together, in order of position, and what they have used up of their retries.

    `too_large`: why they can never be sent, empty if they can. `reply` is the last one, as far as we know it.
    `cover`: the spans under which it is written down where there is little room, empty while it is not (`places`).
    """

    records: tuple[Record, ...]
    budget: Budget = UNTRIED
    too_large: str = ""
    reply: Reply | None = None
    cover: tuple[tuple[Position, Position], ...] = ()

    def runs(self) -> Iterator[tuple[Position, Position]]:
        """First and last position of each run of records with none between them."""
        first = before = self.records[0]
        for record in self.records[1:]:
            if record.seq != before.seq + 1:
                yield first.position, before.position
                first = record
            before = record
        yield first.position, before.position

    def sent(self, *, in_flight: bool) -> "Part":
        """The part while it is being sent, or after all not."""
        return structs.replace(self, budget=structs.replace(self.budget, in_flight=in_flight))


class Owner:
    """A stack of parts. `known`: its parts are written down, because one of them has failed.

    `due` is when its first part may be sent (monotonic seconds), `refusals` how often in a row it was refused.
    Without `key_of` it holds no keys: what is never sent stands in nobody's way.
    """

    def __init__(self, parts: Iterable[Part], key_of: KeyOf | None, *, known: bool = False) -> None:
        self.parts = list(parts)
        self.known = known
        self.due = -inf
        self.refusals = 0
        self._key_of = key_of
        self._unfinished = self._counted()

    @property
    def first(self) -> Part:
        """What is sent next."""
        return self.parts[0]

    @property
    def keys(self) -> Iterable[Key]:
        """Those it has unfinished records of."""
        return self._unfinished.keys()

    @property
    def is_written(self) -> bool:
        """A checkpoint has to tell of it."""
        return self.known or self.first.budget.in_flight

    def finished(self, records: Sequence[Record]) -> list[Key]:
        """Takes them out, and returns the keys it has nothing left of."""
        if len(records) == sum(len(part.records) for part in self.parts):
            free = list(self._unfinished)
            self.parts, self._unfinished = [], Counter()
            return free
        gone = {record.seq for record in records}
        self.parts = [left for part in self.parts if (left := _without(part, gone)) is not None]
        if self._key_of is not None:
            self._unfinished.subtract(map(self._key_of, records))
        free = [key for key, count in self._unfinished.items() if not count]
        for key in free:
            del self._unfinished[key]
        return free

    def becomes(self, pending: Sequence[Part]) -> None:
        """What is left of its first part, which was judged."""
        self.parts[:1] = pending

    def split_off(self) -> list["Owner"]:
        """The parts that need not wait for the first one, each group an owner of its own."""
        if self._key_of is None or len(self.parts) < 2:
            return []
        mine, *others = independent(self.parts, self._key_of)
        self.parts = mine
        self._unfinished = self._counted()
        return [Owner(group, self._key_of, known=self.known) for group in others]

    def _counted(self) -> Counter[Key]:
        if self._key_of is None:
            return Counter()
        return Counter(map(self._key_of, chain.from_iterable(part.records for part in self.parts)))


def independent(parts: Sequence[Part], key_of: KeyOf) -> list[list[Part]]:
    """The parts in groups that share no key, each in the given order; the group of the first part comes first."""
    groups: list[tuple[set[Key], list[Part]]] = []
    for part in parts:
        keys = {key_of(record) for record in part.records}
        sharing = [group for group in groups if group[0] & keys]
        if not sharing:
            groups.append((keys, [part]))
            continue
        home, *others = sharing
        home[0].update(keys, *(other[0] for other in others))
        home[1].extend(each for other in others for each in other[1])
        home[1].append(part)
        groups = [group for group in groups if not any(group is other for other in others)]
    order = {id(part): place for place, part in enumerate(parts)}
    return [sorted(group, key=lambda part: order[id(part)]) for _, group in groups]


def _without(part: Part, gone: set[int]) -> Part | None:
    left = tuple(record for record in part.records if record.seq not in gone)
    if len(left) == len(part.records):
        return part
    return structs.replace(part, records=left) if left else None
