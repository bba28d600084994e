"""The record's data: its format and the pattern's, source by source, and where it is found in an event."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.core.filtering import (
    DATA_KEYS,
    FilterSet,
    InvalidPattern,
    patterns_in,
    read_event,
    records_of,
    view_of,
)
from esm.core.filtering.data import Format, Unreadable, parsed
from esm.core.filtering.explain import explained
from esm.core.filtering.numbers import Spelled

JSON_PATTERN: Any = {"a": ["x"]}
TEXT_PATTERN: Any = ["plain"]
NO_PATTERN: Any = None
GOOD_JSON, BAD_JSON, GOOD_TEXT, BAD_TEXT = '{"a": "x"}', '{"a": "y"}', "plain", "other"

# source, pattern on the data key, the data, and whether a record passes whose metadata matches
FILTERS = [
    (GOOD_JSON, JSON_PATTERN, True),
    (BAD_JSON, JSON_PATTERN, False),
    (GOOD_JSON, NO_PATTERN, True),
    (GOOD_TEXT, NO_PATTERN, True),
]
TEXTS = [(GOOD_TEXT, TEXT_PATTERN, True), (BAD_TEXT, TEXT_PATTERN, False)]
DROPS = [(GOOD_TEXT, JSON_PATTERN, False), ("5", JSON_PATTERN, False), ('[{"a": "x"}]', JSON_PATTERN, False)]
PASSES = [(text, pattern, True) for text, pattern, _ in DROPS]
TABLE = {
    "sqs": [*FILTERS, *TEXTS, *DROPS, (GOOD_JSON, TEXT_PATTERN, False)],
    "kinesis": [*FILTERS, *DROPS],
    "kafka": [*FILTERS, *TEXTS, *PASSES, (GOOD_JSON, TEXT_PATTERN, True)],
    "mq": [*FILTERS, *TEXTS, *PASSES, (GOOD_JSON, TEXT_PATTERN, True)],
}
ROWS = [(source, *row) for source, rows in TABLE.items() for row in rows]


@pytest.mark.parametrize(("source", "data", "pattern", "kept"), ROWS)
def test_the_format_of_the_data_and_of_the_pattern(source: str, data: str, pattern: Any, *, kept: bool) -> None:
    key = DATA_KEYS[source].names[0]
    whole = {"meta": ["m"]} if pattern is None else {"meta": ["m"], key: pattern}
    filters = FilterSet([json.dumps(whole)], DATA_KEYS[source])
    assert filters.keeps({"meta": "m", key: data}) is kept
    assert filters.keeps({"meta": "m", key: data.encode()}) is kept
    assert not filters.keeps({"meta": "other", key: data})


HALF_PAIRS = [
    '{"a": "x", "b": "cut \\ud83d"}',
    '{"a": "x", "\\ude00": [1.50, 1e400]}',
    '{"a": "x", "b": "\ud83d"}',
]


@pytest.mark.parametrize("data", HALF_PAIRS, ids=ascii)
def test_half_a_surrogate_pair_does_not_make_json_plain_text(data: str) -> None:
    """Whoever cuts a text in the middle of an emoji writes one, and the message would be deleted for it."""
    assert FilterSet(['{"body": {"a": ["x"]}}'], DATA_KEYS["sqs"]).keeps({"body": data})
    assert not FilterSet(['{"body": {"a": ["y"]}}'], DATA_KEYS["sqs"]).keeps({"body": data})


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_takes_for_json_is_plain_text(constant: str) -> None:
    assert parsed(f'{{"a": {constant}}}') == (Format.TEXT, f'{{"a": {constant}}}')


def test_numbers_keep_their_spelling_beside_half_a_surrogate_pair() -> None:
    filters = FilterSet(['{"body": {"a": [1.50]}}'], DATA_KEYS["sqs"])
    assert filters.keeps({"body": r'{"a": 1.50, "b": "\ud83d"}'})
    assert not filters.keeps({"body": r'{"a": 1.5, "b": "\ud83d"}'})


@pytest.mark.parametrize("source", ["kafka", "mq"])
@pytest.mark.parametrize("pattern", [JSON_PATTERN, TEXT_PATTERN])
def test_what_is_no_utf8_goes_by_the_metadata(source: str, pattern: Any) -> None:
    key = DATA_KEYS[source].names[0]
    filters = FilterSet([json.dumps({"meta": ["m"], key: pattern})], DATA_KEYS[source])
    assert filters.keeps({"meta": "m", key: b"\xff\xfe"})
    assert not filters.keeps({"meta": "n", key: b"\xff\xfe"})


def test_what_is_no_utf8_is_dropped_by_kinesis() -> None:
    assert not FilterSet(['{"data": {"a": ["x"]}}'], DATA_KEYS["kinesis"]).keeps({"data": b"\xff"})


@pytest.mark.parametrize("source", ["kinesis", "dynamodb"])
def test_a_pattern_for_a_string_is_refused_where_data_is_json(source: str) -> None:
    key = DATA_KEYS[source].names[0]
    with pytest.raises(InvalidPattern, match=f"{key} has to be an object: the data of this source is JSON"):
        FilterSet([json.dumps({key: ["x"]})], DATA_KEYS[source])
    FilterSet(['{"meta": ["x"]}'], DATA_KEYS[source])


def test_a_branch_wants_one_format() -> None:
    with pytest.raises(InvalidPattern, match="body is asked to be text and an object at once"):
        FilterSet(['{"body": ["x"], "$or": [{"body": {"a": [1]}}, {"b": [1]}]}'], DATA_KEYS["sqs"])
    filters = FilterSet(['{"$or": [{"body": ["x"]}, {"body": {"a": [1]}}]}'], DATA_KEYS["sqs"])
    assert [filters.keeps({"body": body}) for body in ("x", '{"a": 1}', "y", '{"a": 2}')] == [
        True,
        True,
        False,
        False,
    ]


def test_key_and_value_of_kafka_are_judged_apart() -> None:
    filters = FilterSet(['{"key": ["k"], "value": {"a": [1]}, "topic": ["t"]}'], DATA_KEYS["kafka"])
    assert filters.keeps({"key": b"k", "value": b'{"a": 1}', "topic": "t"})
    assert filters.keeps({"key": b"k", "value": b"text", "topic": "t"})
    assert filters.keeps({"key": b'{"k": 1}', "value": b'{"a": 1}', "topic": "t"})
    assert not filters.keeps({"key": b"no", "value": b"text", "topic": "t"})
    assert not filters.keeps({"key": b'{"k": 1}', "value": b'{"a": 2}', "topic": "t"})
    assert not filters.keeps({"key": b'{"k": 1}', "value": b"text", "topic": "u"})


def test_a_tombstone_is_no_object_and_its_value_is_null() -> None:
    null, absent = (
        FilterSet([json.dumps({"value": [one]})], DATA_KEYS["kafka"]) for one in (None, {"exists": False})
    )
    assert (null.keeps({"value": None}), null.keeps({"value": b"x"}), null.keeps({})) == (True, False, False)
    assert (absent.keeps({"value": None}), absent.keeps({})) == (False, True)
    assert FilterSet(['{"value": {"a": [1]}}'], DATA_KEYS["kafka"]).keeps({"value": None})


def test_data_that_is_an_object_already() -> None:
    filters = FilterSet(['{"dynamodb": {"a": [1]}}'], DATA_KEYS["dynamodb"])
    assert filters.keeps({"dynamodb": {"a": 1}})
    assert not filters.keeps({"dynamodb": {"a": 2}})
    assert not filters.keeps({})


def test_without_a_pattern_for_it_the_data_is_not_looked_at() -> None:
    assert FilterSet(['{"meta": ["m"]}'], DATA_KEYS["sqs"]).keeps({"meta": "m", "body": object()})


def test_no_data_key_means_that_nothing_is_parsed() -> None:
    assert not FilterSet(['{"body": {"a": [1]}}'], DATA_KEYS["none"]).keeps({"body": '{"a": 1}'})


@pytest.mark.parametrize("body", ['{"a":' * 5000 + "1" + "}" * 5000, '{"a": ' + "1" * 5000 + "}"])
def test_json_that_cannot_be_read_is_kept(body: str) -> None:
    with pytest.raises(Unreadable, match=r"recursion|out of range"):
        parsed(body)
    for source in ("sqs", "kafka"):
        key = DATA_KEYS[source].names[0]
        filters = FilterSet([json.dumps({key: {"b": ["no"]}})], DATA_KEYS[source])
        assert filters.keeps({key: body})
        assert explained(filters, {key: body})[0].startswith("kept: the data cannot be read far enough")


def test_formats() -> None:
    assert parsed('{"a": 1}') == (Format.OBJECT, {"a": 1})
    assert parsed(b'{"a": "\xc3\xa9"}') == (Format.OBJECT, {"a": "é"})
    assert parsed(' {"a": 1}\n') == (Format.OBJECT, {"a": 1})
    assert parsed("[1]") == (Format.TEXT, "[1]")
    assert parsed("text") == (Format.TEXT, "text")
    assert parsed("") == (Format.TEXT, "")
    assert parsed('{"a": NaN}') == (Format.TEXT, '{"a": NaN}')
    assert parsed("\ud800") == (Format.TEXT, "\ud800")
    assert parsed(b"\xff") == (Format.FOREIGN, None)
    assert parsed({"a": 1}) == (Format.OBJECT, {"a": 1})
    assert parsed(None) == (Format.TEXT, None)
    form, value = parsed('{"a": 1.50}')
    assert (form, type(value["a"]), value["a"].text) == (Format.OBJECT, Spelled, "1.50")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


VIEWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("sqs", {"body": "b", "x": 1}, {"body": "b", "x": 1}),
    ("dynamodb", {"dynamodb": {"a": 1}}, {"dynamodb": {"a": 1}}),
    ("none", {"data": b64("d")}, {"data": b64("d")}),
    ("kinesis", {"kinesis": {"data": b64("d")}, "x": 1}, {"kinesis": {"data": b64("d")}, "x": 1, "data": b"d"}),
    ("kinesis", {"data": b64("d")}, {"data": b"d"}),
    ("kinesis", {"kinesis": 5}, {"kinesis": 5}),
    ("kafka", {"key": b64("k"), "value": b64("v"), "topic": "t"}, {"key": b"k", "value": b"v", "topic": "t"}),
    ("kafka", {"value": None}, {"value": None}),
    ("kafka", {"topic": "t"}, {"topic": "t"}),
    ("mq", {"data": b64("d")}, {"data": b"d"}),
    ("mq", {"data": "not base64!"}, {"data": "not base64!"}),
    ("mq", {"data": "é"}, {"data": "é"}),
    ("mq", {"data": {"a": 1}}, {"data": {"a": 1}}),
]


@pytest.mark.parametrize(("source", "record", "view"), VIEWS)
def test_a_record_as_patterns_see_it(source: str, record: dict[str, Any], view: dict[str, Any]) -> None:
    assert view_of(record, source) == view


@pytest.mark.parametrize(
    ("event", "source", "records"),
    [
        ({"Records": [{"a": 1}, {"b": 2}]}, "sqs", [{"a": 1}, {"b": 2}]),
        ({"records": [{"a": 1}]}, "kinesis", [{"a": 1}]),
        ({"messages": [{"a": 1}]}, "mq", [{"a": 1}]),
        ({"records": {"t-0": [{"a": 1}], "t-1": [{"b": 2}]}}, "kafka", [{"a": 1}, {"b": 2}]),
        ({"rmqMessagesByQueue": {"q": [{"a": 1}]}}, "mq", [{"a": 1}]),
        ([{"a": 1}], "sqs", [{"a": 1}]),
        ({"a": 1}, "sqs", [{"a": 1}]),
        ({"Records": 5}, "sqs", [{"Records": 5}]),
        ({"Records": [{"a": 1}]}, "none", [{"Records": [{"a": 1}]}]),
        ([{"a": 1}], "none", [{"a": 1}]),
        (5, "sqs", [5]),
    ],
)
def test_the_records_of_an_event(event: Any, source: str, records: list[Any]) -> None:
    assert list(records_of(event, source)) == records


def test_an_event_as_json_or_as_json_lines() -> None:
    assert read_event(' {"a": 1} ') == {"a": 1}
    assert read_event('{"a": 1}\n\n{"a": 2}\n') == [{"a": 1}, {"a": 2}]
    assert read_event('{"a":\n1}') == {"a": 1}
    for wrong in ("", "{", '{"a": 1}\n{', "\n\n"):
        with pytest.raises(ValueError, match=r".+"):
            read_event(wrong)


def test_the_patterns_in_a_filter_criteria() -> None:
    one = '{"body": [1.0]}'
    assert patterns_in(one) == [one]
    assert patterns_in(json.dumps({"Filters": [{"Pattern": one}, {"Pattern": one}]})) == [one, one]
    assert patterns_in('{"filters": [{"pattern": {"body": [1.0]}}]}') == [one]
    assert patterns_in('{"FilterCriteria": {"Filters": [{"Pattern": {"body": [1.0]}}]}}') == [one]
    assert patterns_in('{"Filters": []}') == []
    for pattern in (
        '{"Filters": ["x"]}',
        '{"Filters": [{"prefix": "x"}]}',
        '{"FilterCriteria": ["x"]}',
        "[]",
        "5",
    ):
        assert patterns_in(pattern) == [pattern]
    both = '{"Filters": [{"Pattern": "{}"}], "body": ["x"]}'
    assert patterns_in(both) == [both]
    with pytest.raises(InvalidPattern, match="is no JSON"):
        patterns_in("{")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
MATCHERS = st.sampled_from(
    [
        "x", 5, 2.5, None, True, {"exists": True}, {"exists": False}, {"prefix": "a"}, {"suffix": "b"},
        {"equals-ignore-case": "aß"}, {"prefix": {"equals-ignore-case": "a"}},
        {"suffix": {"equals-ignore-case": "ß"}}, {"wildcard": "*a*"},
        {"anything-but": "x"}, {"anything-but": [1, 2.5]}, {"anything-but": {"wildcard": "a*"}},
        {"numeric": [">", 0, "<", 1e9]}, {"numeric": ["=", 5]}, {"cidr": "10.0.0.0/8"}, {"cidr": "::/0"},
    ]
)  # fmt: skip
FIELDS = st.dictionaries(
    st.sampled_from("abc"), st.lists(MATCHERS, min_size=1, max_size=3), min_size=1, max_size=3
)
DATA = st.text(max_size=10) | st.binary(max_size=10) | JSON.map(json.dumps) | JSON


@given(FIELDS, st.sampled_from(sorted(DATA_KEYS)), DATA, JSON)
def test_a_compiled_filter_answers_whatever_it_is_given(fields: Any, source: str, data: Any, other: Any) -> None:
    """Total: a filter that raised could cost a record. What is explained is what was decided."""
    key = (DATA_KEYS[source].names or ("a",))[0]
    filters = FilterSet(
        [json.dumps({key: fields, "a": {"b": ["x"]}} if key != "a" else fields)], DATA_KEYS[source]
    )
    view = {key: data, "a": other}
    kept = filters.keeps(view)
    assert kept in (True, False)
    assert ("does not match" not in "".join(explained(filters, view))) is kept


@given(st.lists(FIELDS, min_size=1, max_size=3), st.dictionaries(st.sampled_from("abc"), JSON, max_size=3))
def test_filters_are_or_and_fields_are_and(patterns: list[Any], event: Any) -> None:
    def keeps(*given: Any) -> bool:
        return FilterSet([json.dumps(pattern) for pattern in given], DATA_KEYS["none"]).keeps(event)

    assert keeps(*patterns) == any(keeps(pattern) for pattern in patterns)
    assert keeps(*reversed(patterns)) == keeps(*patterns)
    for pattern in patterns:
        assert keeps(pattern) == all(keeps({name: matchers}) for name, matchers in pattern.items())
        assert keeps(pattern) == keeps(dict(reversed(pattern.items())))
    if len(patterns) > 1:
        assert keeps({"$or": patterns}) == keeps(*patterns)


@given(FIELDS, JSON)
def test_the_matchers_of_a_list_are_or(fields: Any, value: Any) -> None:
    for matchers in fields.values():
        alone = [FilterSet([json.dumps({"a": [one]})], DATA_KEYS["none"]).keeps({"a": value}) for one in matchers]
        assert FilterSet([json.dumps({"a": matchers})], DATA_KEYS["none"]).keeps({"a": value}) == any(alone)
