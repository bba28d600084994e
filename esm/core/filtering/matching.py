"""Whether the fields of one branch match an event, all of them together.

Arrays are transparent: a field inside an array is looked for in its elements, and all fields inside the same
array have to match in the same element, as in event-ruler's `rulesForJSONEvent`. `exists: false` inside an array
sees the element that fields before it have settled on, and every element where none has: also as there
(https://github.com/aws/event-ruler). The work is linear in the event, whatever it holds.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct, structs

from esm.core.filtering.numbers import Spelled

Matches = Callable[[Any], bool]

MISSING = object()
"""The value of a key that is not there."""

_SCALARS = frozenset({str, int, float, Spelled, bool, type(None)})


class Leaf(Struct, frozen=True):
    """What a list of matchers takes: a scalar that `accepts`, or with `absent` that there is none.

    `says` is the list as it was written.
    """

    accepts: Matches
    absent: bool
    says: str


class Field(Struct, frozen=True):
    """A path through objects, and what has to be at its end."""

    path: tuple[str, ...]
    leaf: Leaf


def by_first_step(fields: Sequence[Field]) -> tuple[tuple[str, Matches], ...]:
    """What has to match below each key at the top of an event, `MISSING` for a key that it does not have.

    All of them together decide; fields inside one array have to match in the same element.
    """
    return _steps(fields, 0)


def scalars(value: Any) -> Iterable[Any]:
    """The values that a leaf is compared with: those of an array and of arrays inside it, never objects."""
    kind = type(value)
    if kind in _SCALARS:
        yield value
    elif kind is list:
        for element in value:
            yield from scalars(element)


class _Level:
    """The fields that share the first `depth` steps, looked for in what these steps lead to."""

    __slots__ = ("_depth", "_fields", "_later", "_steps", "_without")

    def __init__(self, fields: Sequence[Field], depth: int) -> None:
        self._fields = fields
        self._depth = depth
        self._without = all(field.leaf.absent for field in fields)
        self._steps = _steps(fields, depth)
        self._later: dict[tuple[int, bool], _Level] = {}

    def __call__(self, value: Any) -> bool:
        kind = type(value)
        if kind is dict:
            for name, matches in self._steps:  # noqa: SIM110 - a generator costs as much again
                if not matches(value.get(name, MISSING)):
                    return False
            return True
        return self._in_array(value) if kind is list else self._without

    def _in_array(self, array: list[Any]) -> bool:
        """Fields that may be absent come to nothing or hold for every element, until one has to choose."""
        for number, field in enumerate(self._fields):
            if not field.leaf.absent:
                return self._from(number, chooses=False).some(array)
            if any(_is_in(field.path, self._depth, element) for element in array):
                return self._from(number, chooses=True).some(array)
        return True

    def some(self, array: Iterable[Any]) -> bool:
        return any(self(element) for element in array)

    def _from(self, number: int, *, chooses: bool) -> "_Level":
        """The fields from this one on; with `chooses` it must be there, and so decides on an element."""
        if not number and not chooses:
            return self
        if (number, chooses) not in self._later:
            first, *rest = self._fields[number:]
            if chooses:
                first = Field(first.path, structs.replace(first.leaf, absent=False))
            self._later[number, chooses] = _Level([first, *rest], self._depth)
        return self._later[number, chooses]


def _steps(fields: Sequence[Field], depth: int) -> tuple[tuple[str, Matches], ...]:
    """A matcher for each next step, fields at their end before those that go on."""
    leaves = [(field.path[depth], _at_end(field.leaf)) for field in fields if len(field.path) == depth + 1]
    deeper: dict[str, list[Field]] = {}
    for field in fields:
        if len(field.path) > depth + 1:
            deeper.setdefault(field.path[depth], []).append(field)
    return (*leaves, *((name, _Level(inside, depth + 1)) for name, inside in deeper.items()))


def _at_end(leaf: Leaf) -> Matches:
    accepts, absent = leaf.accepts, leaf.absent

    def matches(value: Any) -> bool:
        kind = type(value)
        if kind in _SCALARS:
            return accepts(value)
        if kind is not list:
            return absent  # missing, or an object: only leaves exist
        found = list(scalars(value))
        return any(map(accepts, found)) if found else absent

    return matches


def _is_in(path: tuple[str, ...], depth: int, value: Any) -> bool:
    """Whether any value stands at the end of the path, in any element of the arrays on the way."""
    if type(value) is list:
        return any(_is_in(path, depth, element) for element in value)
    if depth == len(path):
        return type(value) in _SCALARS
    return type(value) is dict and path[depth] in value and _is_in(path, depth + 1, value[path[depth]])
