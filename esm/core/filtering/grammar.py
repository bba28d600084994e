"""From a pattern to its branches: the alternatives that `$or` makes, each a set of fields that all must match.

What AWS refuses is refused here with the place and the reason: anything that is no object of objects and lists,
empty objects and lists, `$or` with fewer than two objects. Besides, a key given twice is refused: EventBridge
takes the last, and Lambda's page on DynamoDB shows it as an "and"
(https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html), so nobody can know what is meant.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from esm.core.filtering.invalid import InvalidPattern, Path
from esm.core.filtering.json_text import DEEPEST, read, written
from esm.core.filtering.matching import Field, Leaf
from esm.core.filtering.operators import any_of, literals, only_entry, predicate

LONGEST = 4096
"""Characters of a pattern at most (`Pattern` in the API of AWS Lambda)."""

MOST_BRANCHES = 1000
"""Combinations that `$or` may make (EventBridge, "Complex example with $or matching")."""

_OR = "$or"
_RESERVED = frozenset(
    {
        "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric",
        "cidr", "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after",
        "date-on-or-after", "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range",
        "ip-address-not-in-range",
    }
)  # fmt: skip
"""Names that event-ruler reserves for operators, so that no field of an `$or` may have them."""

Steps = tuple[str, ...]
Branch = Mapping[Steps, Leaf]


def branches(pattern: str, *, strict: bool = False) -> list[list[Field]]:
    """The alternatives of a pattern in JSON text; the fields of each stand in the order they are looked at.

    `strict` refuses what AWS takes for event buses but not for mappings (D10). Raises InvalidPattern.
    """
    if len(pattern) > LONGEST:
        raise InvalidPattern((), f"has {len(pattern):,} characters: at most {LONGEST:,} are allowed")
    root = read(pattern)
    if not isinstance(root, dict):
        raise InvalidPattern((), "has to be an object")
    return [_ordered(branch) for branch in _Reader(strict).object(root, (), (), inside_or=False)]


def _ordered(branch: Branch) -> list[Field]:
    """By name as event-ruler orders them, step by step joined with dots: it decides what `exists: false` sees."""
    fields = [Field(path, leaf) for path, leaf in branch.items()]
    return sorted(fields, key=lambda field: ".".join(field.path).encode("utf-16-be", "surrogatepass"))


class _Reader:
    """Walks one pattern. `at` is the place in the pattern, `path` the field of the event."""

    def __init__(self, strict: bool) -> None:  # noqa: FBT001 - one reader, made in one place
        self._strict = strict

    def object(self, node: Mapping[str, Any], path: Steps, at: Path, *, inside_or: bool) -> list[Branch]:
        """The branches of an object: one from each member, combined."""
        if not node:
            raise InvalidPattern(at, "is an empty object")
        if len(at) > DEEPEST:
            raise InvalidPattern(at, f"is nested more than {DEEPEST} deep")
        found: list[Branch] = [{}]
        for name, value in node.items():
            found = _combined(found, self._member(name, value, path, at, inside_or=inside_or), (*at, name))
        return found

    def _member(self, name: str, value: Any, path: Steps, at: Path, *, inside_or: bool) -> list[Branch]:
        at = (*at, name)
        if name == _OR:
            return self._either(value, path, at)
        if inside_or and name in _RESERVED:
            raise InvalidPattern(at, f"is the name of an operator, which no field inside {_OR} may have")
        if isinstance(value, dict):
            return self.object(value, (*path, name), at, inside_or=inside_or)
        if isinstance(value, list):
            return [{(*path, name): self._leaf(value, at)}]
        raise InvalidPattern(at, "has to be an object, or a list of what to match: write [" + _short(value) + "]")

    def _either(self, value: Any, path: Steps, at: Path) -> list[Branch]:
        if not isinstance(value, list) or len(value) < 2 or not all(isinstance(one, dict) for one in value):
            raise InvalidPattern(at, "has to be a list of at least two objects")
        return [
            branch
            for number, one in enumerate(value)
            for branch in self.object(one, path, (*at, number), inside_or=True)
        ]

    def _leaf(self, matchers: Sequence[Any], at: Path) -> Leaf:
        if not matchers:
            raise InvalidPattern(at, "is an empty list")
        operators = [(number, one) for number, one in enumerate(matchers) if isinstance(one, dict)]
        exists: set[bool] = set()
        accepts = literals([one for one in matchers if not isinstance(one, dict)])
        for number, one in operators:
            place = (*at, number)
            if "exists" in one:
                exists.add(_exists(one, place))
            else:
                accepts.append(predicate(one, place, strict=self._strict))
        if any(isinstance(one, list) for one in matchers):
            raise InvalidPattern(at, "holds a list: allowed are text, numbers, true, false, null and operators")
        if True in exists:
            accepts = [_everything]
        return Leaf(any_of(accepts or [_nothing]), absent=False in exists, says=written(matchers))


def _exists(operator: Mapping[str, Any], at: Path) -> bool:
    name, value = only_entry(operator, at)
    if not isinstance(value, bool):
        raise InvalidPattern((*at, name), "takes true or false")
    return value


def _everything(_value: Any) -> bool:
    return True


def _nothing(_value: Any) -> bool:
    return False


def _combined(left: Iterable[Branch], right: Sequence[Branch], at: Path) -> list[Branch]:
    found: list[Branch] = []
    for one in left:
        for other in right:
            if both := one.keys() & other.keys():
                raise InvalidPattern(at, f"constrains {'.'.join(min(both))} once more: put everything into one")
            found.append({**one, **other})
            if len(found) > MOST_BRANCHES:
                raise InvalidPattern(at, f"makes more than {MOST_BRANCHES:,} combinations of {_OR}")
    return found


def _short(value: Any) -> str:
    text = written(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
