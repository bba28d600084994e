"""Structure: nested objects, `$or`, arrays and what is absent from them, beside a model that is slow and plain."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.core.filtering import DATA_KEYS, FilterSet
from esm.core.filtering.grammar import branches
from esm.core.filtering.matching import Field

NONE = DATA_KEYS["none"]


def keeps(pattern: Any, event: Any) -> bool:
    return FilterSet([json.dumps(pattern)], NONE).keeps(event)


ABSENT = [{"exists": False}]
CASES: list[tuple[str, Any, Any, bool]] = [
    ("fields are and", {"a": ["x"], "b": ["y"]}, {"a": "x", "b": "y"}, True),
    ("fields are and, one is wrong", {"a": ["x"], "b": ["y"]}, {"a": "x", "b": "z"}, False),
    ("fields are and, one is missing", {"a": ["x"], "b": ["y"]}, {"a": "x"}, False),
    ("nested", {"a": {"b": {"c": ["x"]}}}, {"a": {"b": {"c": "x"}}}, True),
    ("nested, cut short", {"a": {"b": {"c": ["x"]}}}, {"a": {"b": "x"}}, False),
    ("a leaf is no object", {"a": ["x"]}, {"a": {"a": "x"}}, False),
    ("an array intersects", {"a": ["x", "y"]}, {"a": ["z", "y"]}, True),
    ("an array that does not", {"a": ["x", "y"]}, {"a": ["z"]}, False),
    ("an array in an array", {"a": ["x"]}, {"a": [["z"], [["x"]]]}, True),
    ("objects in an array are no leaves", {"a": ["x"]}, {"a": [{"a": "x"}]}, False),
    ("an array of objects is transparent", {"a": {"b": ["x"]}}, {"a": [{"b": "y"}, {"b": "x"}]}, True),
    ("an array in an array of objects", {"a": {"b": ["x"]}}, {"a": [[{"b": "y"}], [{"b": "x"}]]}, True),
    ("both in one element", {"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1, "c": 2}, {"b": 3}]}, True),
    ("each in another element", {"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1}, {"c": 2}]}, False),
    ("in one inner array", {"a": {"b": [1], "c": [2]}}, {"a": [[{"b": 1, "c": 2}]]}, True),
    ("in two inner arrays", {"a": {"b": [1], "c": [2]}}, {"a": [[{"b": 1}, {"c": 2}]]}, False),
    (
        "two arrays of one element",
        {"a": {"b": {"x": [1]}, "c": {"y": [2]}}},
        {"a": [{"b": [{"x": 1}], "c": [{"y": 2}]}]},
        True,
    ),
    (
        "two arrays of two elements",
        {"a": {"b": {"x": [1]}, "c": {"y": [2]}}},
        {"a": [{"b": [{"x": 1}], "c": [{"y": 3}]}, {"b": [{"x": 3}], "c": [{"y": 2}]}]},
        False,
    ),
    ("scalars of an array share no element", {"a": [1], "b": [2]}, {"a": [1, 3], "b": [3, 2]}, True),
    ("absent is true of a missing name", {"a": ABSENT}, {}, True),
    ("absent is true of an object", {"a": ABSENT}, {"a": {"b": 1}}, True),
    ("absent is false of null", {"a": ABSENT}, {"a": None}, False),
    ("absent below a scalar", {"a": {"b": ABSENT}}, {"a": 5}, True),
    ("absent below nothing", {"a": {"b": ABSENT}}, {}, True),
    ("absent in every element", {"a": {"b": ABSENT}}, {"a": [{"c": 1}, {}]}, True),
    ("present in one element", {"a": {"b": ABSENT}}, {"a": [{"c": 1}, {"b": 1}]}, False),
    ("absent in an empty array", {"a": {"b": ABSENT}}, {"a": []}, True),
    ("absent in an array of scalars", {"a": {"b": ABSENT}}, {"a": [1, "b"]}, True),
    ("present in an inner array", {"a": {"b": ABSENT}}, {"a": [[{"b": 1}]]}, False),
    ("present as an array", {"a": {"b": ABSENT}}, {"a": [{"b": [1]}]}, False),
    ("an object in the way", {"a": {"b": ABSENT}}, {"a": [{"b": {"c": 1}}]}, True),
    (
        "absent from the element that was settled on",
        {"a": {"b": [1], "c": ABSENT}},
        {"a": [{"b": 1}, {"c": 2}]},
        True,
    ),
    ("absent before any was settled on", {"a": {"b": ABSENT, "c": [2]}}, {"a": [{"b": 1}, {"c": 2}]}, False),
    ("absent everywhere, then settled", {"a": {"b": ABSENT, "c": [2]}}, {"a": [{"d": 1}, {"c": 2}]}, True),
    (
        "present in the element that was settled on",
        {"a": {"b": [1], "c": ABSENT}},
        {"a": [{"b": 1, "c": 2}]},
        False,
    ),
    (
        "absent or a value, settled by it",
        {"a": {"b": [*ABSENT, 1], "c": [2]}},
        {"a": [{"b": 1, "c": 2}, {"b": 3}]},
        True,
    ),
    (
        "absent or a value, in another element",
        {"a": {"b": [*ABSENT, 1], "c": [2]}},
        {"a": [{"b": 1}, {"c": 2}]},
        False,
    ),
    ("absent or a value, absent", {"a": {"b": [*ABSENT, 1], "c": [2]}}, {"a": [{"c": 2}]}, True),
    ("two may be absent", {"a": {"b": [*ABSENT, 1], "c": [*ABSENT, 2]}}, {"a": [{"c": 3}, {"c": 2}]}, True),
    ("two may be absent, one is wrong", {"a": {"b": [*ABSENT, 1], "c": [*ABSENT, 2]}}, {"a": [{"c": 3}]}, False),
    ("anything but is about one value", {"a": [{"anything-but": "x"}]}, {"a": ["x", "y"]}, True),
    ("anything but, all are", {"a": [{"anything-but": "x"}]}, {"a": ["x", "x"]}, False),
    ("anything but, none is there", {"a": [{"anything-but": "x"}]}, {"a": []}, False),
    ("or", {"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, True),
    ("or, neither", {"$or": [{"a": [1]}, {"b": [2]}]}, {"a": 2, "b": 1}, False),
    ("or and", {"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, False),
    ("or and, both", {"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2, "c": 3}, True),
    ("or below", {"d": {"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}}, {"d": {"b": 2, "c": 3}}, True),
    ("or in or", {"$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"c": [3]}]}]}, {"c": 3}, True),
    ("or of a value and of what is below it", {"$or": [{"a": [1]}, {"a": {"b": [2]}}]}, {"a": {"b": 2}}, True),
    (
        "a value and what is below it",
        {"a": [1], "$or": [{"a": {"b": [2]}}, {"c": [3]}]},
        {"a": [1, {"b": 2}]},
        True,
    ),
    (
        "or does not mix elements",
        {"a": {"$or": [{"b": [1], "c": [1]}, {"d": [1]}]}},
        {"a": [{"b": 1}, {"c": 1}]},
        False,
    ),
    ("the empty name", {"": {"": ["x"]}}, {"": {"": "x"}}, True),
    ("a dot is part of a name", {"a.b": ["x"]}, {"a": {"b": "x"}}, False),
    ("a dot is part of a name, here too", {"a.b": ["x"]}, {"a.b": "x"}, True),
]


@pytest.mark.parametrize(
    ("pattern", "event", "kept"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_structure(pattern: Any, event: Any, *, kept: bool) -> None:
    assert keeps(pattern, event) is kept


# The model: event-ruler's own words, without anything fast. Each value has its place in every array on its way; a
# rule holds if values can be chosen, field by field in order of their names, whose places agree.


def values(event: Any, path: tuple[str, ...], place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, dict[Any, int]]]:
    if isinstance(event, list):
        for number, element in enumerate(event):
            inside = isinstance(element, list | dict)
            for value, places in values(element, path, (*place, number)):
                yield value, {**places, **({(place, path): number} if inside else {})}
    elif path:
        if isinstance(event, dict) and path[0] in event:
            for value, places in values(event[path[0]], path[1:], (*place, path[0])):
                yield value, {(array, left[: len(left)]): number for (array, left), number in places.items()}
    elif not isinstance(event, dict):
        yield event, {}


def agree(one: dict[Any, int], other: dict[Any, int]) -> bool:
    return all(other.get(array, number) == number for array, number in one.items())


def holds(event: Any, fields: list[Field], settled: dict[Any, int]) -> bool:
    if not fields:
        return True
    field, *rest = fields
    found = [
        (value, {array: n for (array, _), n in places.items()}) for value, places in values(event, field.path)
    ]
    within = [(value, places) for value, places in found if agree(places, settled)]
    if field.leaf.absent and not within and holds(event, rest, settled):
        return True
    return any(field.leaf.accepts(value) and holds(event, rest, {**settled, **places}) for value, places in within)


NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.sampled_from([1, 2])
EVENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=12,
    ),
    max_size=3,
)
LEAVES = st.lists(
    st.sampled_from([1, 2, {"exists": False}, {"exists": True}, {"anything-but": 1}]), min_size=1, max_size=2
)
PATTERNS = st.dictionaries(
    NAMES,
    st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=4),
    min_size=1,
    max_size=3,
)


@given(PATTERNS, EVENTS)
def test_it_is_what_the_model_says(pattern: Any, event: Any) -> None:
    (fields,) = branches(json.dumps(pattern))
    assert keeps(pattern, event) == holds(event, fields, {})


def test_the_model_on_every_small_array() -> None:
    """Exhaustive where it matters: two fields of two elements, each field missing, right or wrong."""
    leaf = [[1], ABSENT, [*ABSENT, 1]]
    inside = [None, 1, 2]
    for b, c in product(leaf, leaf):
        (fields,) = branches(json.dumps({"a": {"b": b, "c": c}}))
        filters = FilterSet([json.dumps({"a": {"b": b, "c": c}})], NONE)
        for four in product(inside, repeat=4):
            elements = [
                {k: v for k, v in zip("bc", four[n : n + 2], strict=True) if v is not None} for n in (0, 2)
            ]
            for event in ({"a": elements}, {"a": [elements]}, {"a": [elements[:1], elements[1:]]}):
                assert filters.keeps(event) == holds(event, fields, {}), (b, c, event)


def test_a_large_array_costs_a_look_at_each_element() -> None:
    """Five independent arrays: choosing elements one by one would take 1,000 to the power of five tries."""
    pattern = {name: {"x": [1]} for name in "abcd"} | {"e": {"x": [2]}}
    assert not keeps(pattern, {name: [{"x": 1}] * 1000 for name in "abcde"})


def test_what_is_nested_too_deep_to_be_looked_at_is_kept() -> None:
    event: Any = {"b": 1}
    for _ in range(20_000):
        event = [event]
    assert keeps({"a": {"b": [2]}}, {"a": event})
    assert keeps({"a": [2]}, {"a": event})
