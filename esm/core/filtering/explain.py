"""Why a record is kept or dropped, for people: which field decided.

Slower than `FilterSet.keeps` and for one record at a time; what it says of the outcome is what `keeps` says.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from esm.core.filtering.criteria import Alternative, FilterSet
from esm.core.filtering.data import Data, Unreadable
from esm.core.filtering.json_text import written
from esm.core.filtering.matching import MISSING, Field, by_first_step, scalars

_LONGEST = 80


def explained(filters: FilterSet, view: Mapping[str, Any]) -> list[str]:
    """A line for each alternative that decided: the one that matched, or what is wrong with each of them."""
    try:
        data = filters.data_of(view)
        return list(_lines(filters, view, data))
    except (Unreadable, RecursionError) as error:
        return [f"kept: the data cannot be read far enough to judge it ({error})"]


def _lines(filters: FilterSet, view: Mapping[str, Any], data: Mapping[str, Data]) -> Iterator[str]:
    for number, pattern in enumerate(filters.alternatives, start=1):
        name = f"pattern {number}" if len(filters.alternatives) > 1 else "the pattern"
        found = next((one for one in pattern if one.matches(view, data)), None)
        if found is not None:
            yield f"{name} matches: {_good(found, view, data)}"
            return
    for number, pattern in enumerate(filters.alternatives, start=1):
        name = f"pattern {number}" if len(filters.alternatives) > 1 else "the pattern"
        for one in pattern:
            yield f"{name} does not match: {_bad(one, view, data)}"


def _good(one: Alternative, view: Mapping[str, Any], data: Mapping[str, Data]) -> str:
    unfit = [key for key, wanted in one.wants.items() if data[key][0] is not wanted]
    fields = [_said(field, view, data) for field in one.fields if field.path[0] not in unfit]
    ignored = [f"what it says of {key} does not count, which is {data[key][0].value}" for key in unfit]
    return "; ".join([*fields, *ignored])


def _bad(one: Alternative, view: Mapping[str, Any], data: Mapping[str, Data]) -> str:
    for key, wanted in one.wants.items():
        if data[key][0] is not wanted and not one.lenient:
            has = data[key][0].value if key in view else "missing"
            return f"{key} is {has}, and the pattern expects {wanted.value}"
    counting = [field for field in one.fields if one.wants.get(field.path[0], None) in {None, _form(field, data)}]
    for field in counting:
        ((name, matches),) = by_first_step([field])
        if not matches(_top(name, view, data)):
            return _said(field, view, data)
    names = ", ".join(".".join(field.path) for field in counting)
    return f"no element of an array has all of {names} at once"


def _form(field: Field, data: Mapping[str, Data]) -> object:
    return data[field.path[0]][0] if field.path[0] in data else None


def _top(name: str, view: Mapping[str, Any], data: Mapping[str, Data]) -> Any:
    return data[name][1] if name in data else view.get(name, MISSING)


def _said(field: Field, view: Mapping[str, Any], data: Mapping[str, Data]) -> str:
    found = [written(value) for value in _values(_top(field.path[0], view, data), field.path[1:])]
    has = "is missing" if not found else f"is {', '.join(found)}"
    return f"{'.'.join(field.path)} {_cut(has)}, wanted {_cut(field.leaf.says)}"


def _values(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Every value at the end of a path, arrays taken apart."""
    if not path:
        yield from scalars(value)
    elif isinstance(value, list):
        for element in value:
            yield from _values(element, path)
    elif isinstance(value, dict):
        yield from _values(value.get(path[0]) if path[0] in value else [], path[1:])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
