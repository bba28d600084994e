"""Reading a partial batch response: AWS's answer table, and that no bytes whatever break the reader."""

import json
from typing import Any

import pytest
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st

from esm.core.partial import WHOLE_BATCH, Unreadable, by_offset, by_text, failed_ids, offset_id

BATCH = {"a", "b", "c", "123"}
ALL_WELL: frozenset[str] = frozenset()


def listed(*identifiers: Any) -> bytes:
    return json.dumps({"batchItemFailures": [{"itemIdentifier": each} for each in identifiers]}).encode()


# The ids of the cases below name the row of AWS's answer table.
SUCCESSES = {
    "row 1: null": b"null",
    "row 1: zero bytes count as null (D5)": b"",
    "row 2: an empty object": b"{}",
    "row 3: an empty string": b'""',
    "row 4: an empty list": b"[]",
    "row 5: an empty list of failures": b'{"batchItemFailures": []}',
    "row 6: null for failures": b'{"batchItemFailures": null}',
    "row 7: an object without the key": b'{"failedItems": [{"itemIdentifier": "a"}]}',
    "row 7: the key in another case": b'{"BatchItemFailures": [{"itemIdentifier": "a"}]}',
    "row 7: the key one level too deep": b'{"body": {"batchItemFailures": [{"itemIdentifier": "a"}]}}',
    "row 8: a string": b'"batchItemFailures"',
    "row 8: a number": b"17",
    "row 8: a number with a fraction": b"-1.5e3",
    "row 8: true": b"true",
    "row 8: false": b"false",
    "row 8: a list": b'[{"itemIdentifier": "a"}]',
    "white space around it": b" \n{}\t\r ",
}


@pytest.mark.parametrize("payload", SUCCESSES.values(), ids=SUCCESSES.keys())
def test_full_success(payload: bytes) -> None:
    assert failed_ids(payload, BATCH) == ALL_WELL


NOT_JSON = {
    "row 9: words": b"OK",
    "row 9: an object that is cut off": b'{"batchItemFailures": [',
    "row 9: two values": b"{}{}",
    "row 9: single quotes": b"{'batchItemFailures': []}",
    "row 9: nothing but space": b"  ",
    "row 9: NaN": b"NaN",
    "row 9: no UTF-8": b'"\xff"',
    "row 9: a byte order mark": b"\xef\xbb\xbf{}",
    "row 9: nested too deeply to be read": b"[" * 200_000,
}


@pytest.mark.parametrize("payload", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_json_fails_the_whole_batch(payload: bytes) -> None:
    assert failed_ids(payload, BATCH) == Unreadable(f"the answer is not JSON, so {WHOLE_BATCH}")


NO_LIST = {
    "an object": b'{"batchItemFailures": {"itemIdentifier": "a"}}',
    "an empty object": b'{"batchItemFailures": {}}',
    "a string": b'{"batchItemFailures": "a"}',
    "an empty string": b'{"batchItemFailures": ""}',
    "zero": b'{"batchItemFailures": 0}',
    "false": b'{"batchItemFailures": false}',
}


@pytest.mark.parametrize("payload", NO_LIST.values(), ids=NO_LIST.keys())
def test_failures_that_are_no_list_fail_the_whole_batch(payload: bytes) -> None:
    assert failed_ids(payload, BATCH) == Unreadable(f"batchItemFailures is not a list, so {WHOLE_BATCH}")


NO_IDENTIFIER = {
    "row 10: an empty identifier": ({"itemIdentifier": ""}, "{'itemIdentifier': ''}"),
    "row 11: null": ({"itemIdentifier": None}, "{'itemIdentifier': None}"),
    "row 12: another key": ({"foo": 123}, "{'foo': 123}"),
    "row 12: another key, null": ({"foo": None}, "{'foo': None}"),
    "row 12: another key, a string": ({"foo": "notvalid"}, "{'foo': 'notvalid'}"),
    "row 12: the key in another case": ({"ItemIdentifier": "a"}, "{'ItemIdentifier': 'a'}"),
    "row 13: a number, although its text is in the batch": ({"itemIdentifier": 123}, "{'itemIdentifier': 123}"),
    "an identifier that is a list": ({"itemIdentifier": ["a"]}, "{'itemIdentifier': ['a']}"),
    "an identifier that is an object": ({"itemIdentifier": {"a": 1}}, "{'itemIdentifier': {'a': 1}}"),
    "an item that is a string": ("a", "'a'"),
    "an item that is null": (None, "None"),
    "an item that is a list": (["a"], "['a']"),
    "an empty item": ({}, "{}"),
}


@pytest.mark.parametrize(("item", "shown"), NO_IDENTIFIER.values(), ids=NO_IDENTIFIER.keys())
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "row 14 (D4): after a good one", "row 14 (D4): last"])
def test_an_item_without_a_valid_identifier_fails_the_whole_batch(item: Any, shown: str, place: int) -> None:
    items: list[Any] = [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]
    items.insert(place, item)
    payload = json.dumps({"batchItemFailures": items}).encode()
    assert failed_ids(payload, BATCH) == Unreadable(
        f"batchItemFailures holds {shown} without a valid itemIdentifier, which is a text, so {WHOLE_BATCH}"
    )


@pytest.mark.parametrize("name", ["z", "A", " a", "a ", "ab", "m-1"])
def test_row_13_an_identifier_that_is_not_in_the_batch_fails_it_and_is_named(name: str) -> None:
    expected = Unreadable(f"itemIdentifier '{name}' is not in the batch, so {WHOLE_BATCH}")
    assert failed_ids(listed(name), BATCH) == expected
    assert failed_ids(listed("a", name), BATCH) == expected
    assert failed_ids(listed(name, "a"), BATCH) == expected


def test_the_reason_stays_short_whatever_the_function_answers() -> None:
    for length, shown in ((78, "'" + "z" * 78 + "'"), (79, "'" + "z" * 76 + "...")):
        answer = failed_ids(listed("z" * length), BATCH)
        assert answer == Unreadable(f"itemIdentifier {shown} is not in the batch, so {WHOLE_BATCH}")
        assert len(shown) == 80


def test_the_reason_says_what_follows_from_it() -> None:
    assert WHOLE_BATCH == "the whole batch is treated as failed"


@pytest.mark.parametrize("names", [{"a", "c"}, {"123"}, BATCH], ids=["some", "digits", "all"])
def test_row_16_valid_identifiers_are_the_failed_ones(names: set[str]) -> None:
    assert failed_ids(listed(*names), BATCH) == frozenset(names)


def test_a_repeated_identifier_counts_once_and_other_keys_are_ignored() -> None:
    payload = b'{"x": 1, "batchItemFailures": [{"itemIdentifier": "a", "why": []}, {"itemIdentifier": "a"}]}'
    assert failed_ids(payload, BATCH) == frozenset({"a"})


def _classify(answer: Any, delivered: set[str]) -> frozenset[str] | None:
    """The reference algorithm, over decoded JSON; None is full failure."""
    items = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if items is None:
        return frozenset()
    if not isinstance(items, list):
        return None
    named: list[Any] = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in items]
    good = all(isinstance(name, str) and name and name in delivered for name in named)
    return frozenset(named) if good else None


NAMES = st.sampled_from(["a", "b", "123", "", "other"])
ITEMS = st.one_of(
    st.builds(lambda name: {"itemIdentifier": name}, NAMES | st.none() | st.integers()),
    st.dictionaries(st.sampled_from(["itemIdentifier", "foo"]), NAMES, max_size=2),
    st.none() | st.integers() | NAMES,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)
ANSWERS = JSON | st.builds(lambda items: {"batchItemFailures": items}, st.lists(ITEMS, max_size=4) | JSON)


@PATIENT
@given(answer=ANSWERS)
def test_it_decides_as_the_reference_algorithm_does(answer: Any) -> None:
    read = failed_ids(json.dumps(answer).encode(), BATCH)
    assert (None if isinstance(read, Unreadable) else read) == _classify(answer, BATCH)


@PATIENT
@given(payload=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
def test_any_bytes_are_read_and_name_only_what_was_delivered(payload: bytes) -> None:
    read = failed_ids(payload, BATCH)
    assert isinstance(read, Unreadable) or read <= BATCH


# By partition and offset: Kafka

OFFSETS = {offset_id("orders-0", offset) for offset in (0, 7, 100)}


def at(partition: Any, offset: Any, **more: Any) -> dict[str, Any]:
    return {"partition": partition, "offset": offset, **more}


def test_an_offset_names_a_record_of_its_partition() -> None:
    assert offset_id("orders-0", 100) == "orders-0@100"
    assert by_offset(at("orders-0", 100)) == "orders-0@100"


@pytest.mark.parametrize("payload", SUCCESSES.values(), ids=SUCCESSES.keys())
def test_full_success_is_the_same_for_both(payload: bytes) -> None:
    assert failed_ids(payload, OFFSETS, by_offset) == ALL_WELL


@pytest.mark.parametrize("payload", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_json_fails_the_whole_batch_for_both(payload: bytes) -> None:
    assert failed_ids(payload, OFFSETS, by_offset) == Unreadable(f"the answer is not JSON, so {WHOLE_BATCH}")


NO_OFFSET = {
    "a flat string": "orders-0@100",
    "its number alone": 100,
    "null": None,
    "an empty object": {},
    "no offset": {"partition": "orders-0"},
    "no partition": {"offset": 100},
    "an offset in a string": at("orders-0", "100"),
    "an offset with a fraction": at("orders-0", 100.0),
    "true, which is no 1": at("orders-0", True),
    "null for an offset": at("orders-0", None),
    "a partition by its number": at(0, 100),
    "null for a partition": at(None, 100),
    "keys in another case": {"Partition": "orders-0", "Offset": 100},
    "a list": ["orders-0", 100],
}


@pytest.mark.parametrize("identifier", NO_OFFSET.values(), ids=NO_OFFSET.keys())
@pytest.mark.parametrize("place", [0, 1], ids=["first", "after a good one"])
def test_another_form_than_partition_and_offset_fails_the_whole_batch(identifier: Any, place: int) -> None:
    assert by_offset(identifier) is None
    named = [at("orders-0", 7)]
    named.insert(place, identifier)
    failed = failed_ids(listed(*named), OFFSETS, by_offset)
    assert isinstance(failed, Unreadable)
    assert failed.why.endswith(
        f'itemIdentifier, which is like {{"partition": "orders-0", "offset": 15}}, so {WHOLE_BATCH}'
    )


STRANGE = {
    "another offset": at("orders-0", 8),
    "another partition": at("orders-1", 7),
    "the topic alone": at("orders", 7),
    "an empty partition": at("", 7),
    "an offset below 0": at("orders-0", -7),
}


@pytest.mark.parametrize("identifier", STRANGE.values(), ids=STRANGE.keys())
def test_a_partition_or_offset_that_was_not_sent_fails_the_whole_batch(identifier: Any) -> None:
    failed = failed_ids(listed(at("orders-0", 7), identifier), OFFSETS, by_offset)
    assert failed == Unreadable(f"itemIdentifier {identifier!r} is not in the batch, so {WHOLE_BATCH}")


def test_listed_offsets_are_the_failed_ones_and_more_keys_beside_them_are_ignored() -> None:
    named = listed(at("orders-0", 100, why="x"), at("orders-0", 0), at("orders-0", 100))
    assert failed_ids(named, OFFSETS, by_offset) == frozenset({"orders-0@0", "orders-0@100"})


def test_an_object_is_no_name_where_ids_are_texts() -> None:
    assert by_text(at("orders-0", 7)) is None
    assert isinstance(failed_ids(listed(at("orders-0", 7)), OFFSETS), Unreadable)


@PATIENT
@given(answer=ANSWERS)
def test_whatever_is_answered_only_what_was_delivered_is_named(answer: Any) -> None:
    read = failed_ids(json.dumps(answer).encode(), OFFSETS, by_offset)
    assert isinstance(read, Unreadable) or read <= OFFSETS
