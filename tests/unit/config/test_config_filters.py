"""`filter_criteria`: every way to write it, what it compiles to, and what is said of a pattern that is none."""

from pathlib import Path

import pytest
from config_fakes import ORDERS, body, loaded, problems

from esm.config import assemble
from esm.core.filtering import FilterSet
from esm.world import real_world

PAID = {"body": '{"status": "paid", "total": 5}'}
OPEN = {"body": '{"status": "open", "total": 5}'}

SPELLINGS = {
    "YAML": "filter_criteria: {filters: [{pattern: {body: {status: [paid]}}}]}",
    "JSON text": """filter_criteria: {filters: [{pattern: '{"body": {"status": ["paid"]}}'}]}""",
    "CloudFormation": """FilterCriteria: {Filters: [{Pattern: '{"body": {"status": ["paid"]}}'}]}""",
    "CloudFormation with YAML": "FilterCriteria: {Filters: [{Pattern: {body: {status: [paid]}}}]}",
    "a Terraform block": "filter_criteria: {filter: {pattern: {body: {status: [paid]}}}}",
    "Terraform blocks": "filter_criteria: {filter: [{pattern: {body: {status: [paid]}}}]}",
}
NOTHING = ("{}", "null", "{filters: []}", "{filters: null}", "{filter: []}", "[]", "''")


def filters_of(tmp_path: Path, text: str) -> FilterSet | None:
    config = loaded(tmp_path, text).config
    (plan,) = assemble(config, world=real_world()).mappings.values()
    return plan.filters


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=list(SPELLINGS))
def test_a_filter_in_every_spelling(tmp_path: Path, text: str) -> None:
    filters = filters_of(tmp_path, body(text))
    assert filters is not None
    assert (filters.keeps(PAID), filters.keeps(OPEN)) == (True, False)


@pytest.mark.parametrize("criteria", NOTHING)
def test_no_filters(tmp_path: Path, criteria: str) -> None:
    assert filters_of(tmp_path, body(f"filter_criteria: {criteria}")) is None


def test_an_empty_one_takes_off_the_filters_of_defaults(tmp_path: Path) -> None:
    defaults = "defaults: {filter_criteria: {filters: [{pattern: {body: {status: [paid]}}}]}}\n"
    assert filters_of(tmp_path, body("batch_size: 10") + defaults) is not None
    assert filters_of(tmp_path, body("filter_criteria: {}") + defaults) is None


def test_names_inside_a_pattern_are_the_events_own(tmp_path: Path) -> None:
    filters = filters_of(
        tmp_path, body("FilterCriteria: {Filters: [{Pattern: {body: {NewImage: {Filter: [x]}}}}]}")
    )
    assert filters is not None
    assert filters.keeps({"body": '{"NewImage": {"Filter": "x"}}'})


@pytest.mark.parametrize(
    ("written", "same", "other"),
    [("1.50", "1.50", "1.5"), ("3.0e2", "3.0e2", "300.0"), ("300", "300", "300.0"), ("0x10", "16", "16.0")],
)
def test_a_number_in_yaml_keeps_its_spelling(tmp_path: Path, written: str, same: str, other: str) -> None:
    filters = filters_of(
        tmp_path, body(f"filter_criteria: {{filters: [{{pattern: {{body: {{n: [{written}]}}}}}}]}}")
    )
    assert filters is not None
    assert filters.keeps({"body": f'{{"n": {same}}}'})
    assert not filters.keeps({"body": f'{{"n": {other}}}'})


def test_values_from_the_environment_are_text(tmp_path: Path) -> None:
    text = body('filter_criteria: {filters: [{pattern: {body: {status: ["${STATUS}"]}}}]}')
    config = loaded(tmp_path, text, {"STATUS": "paid"}).config
    (plan,) = assemble(config, world=real_world()).mappings.values()
    assert plan.filters is not None
    assert plan.filters.keeps(PAID)


FIELDS = "; fields stand in an object without a list around it, alternatives in a list below $or"
KNOWN = "anything-but, cidr, equals-ignore-case, exists, numeric, prefix, suffix, wildcard"
AWS = "(AWS: Invalid filter pattern definition.)"
WRONG: dict[str, tuple[str, str]] = {
    # what AWS was seen to refuse
    "text": ("filters[0].pattern", "the pattern is no JSON: Expecting value: line 1 column 1 (char 0)"),
    "'null'": ("filters[0].pattern", "the pattern has to be an object"),
    "'[]'": ("filters[0].pattern", "the pattern has to be an object"),
    '\'{"eventSource": "aws:sqs"}\'': (
        "filters[0].pattern",
        'eventSource has to be an object, or a list of what to match: write ["aws:sqs"]',
    ),
    "{eventSource: []}": ("filters[0].pattern.eventSource", "is an empty list"),
    "{}": ("filters[0].pattern", "the pattern is an empty object"),
    # and where in YAML it is
    "{body: {a: [x], b: {c: [{numeric: ['>', x]}]}}}": (
        "filters[0].pattern.body.b.c[0].numeric",
        "takes numbers",
    ),
    "{body: {a: 5}}": (
        "filters[0].pattern.body.a",
        "has to be an object, or a list of what to match: write [5]",
    ),
    "{$or: [{a: [x]}]}": ("filters[0].pattern.$or", "has to be a list of at least two objects"),
    "{body: [x, {y: [1]}]}": (
        "filters[0].pattern.body[1].y",
        f"is no operator: there are {KNOWN}{FIELDS}",
    ),
}


@pytest.mark.parametrize("pattern", WRONG, ids=list(WRONG))
def test_an_invalid_pattern(tmp_path: Path, pattern: str) -> None:
    place, said = WRONG[pattern]
    text = body(f"filter_criteria: {{filters: [{{pattern: {pattern}}}]}}")
    assert problems(tmp_path, text) == [f"esm.yaml:5: mappings.m.filter_criteria.{place}: {said} {AWS}"]


@pytest.mark.parametrize(("pattern", "shown"), [("[x]", "a list"), ("null", "null"), ("5", "5")])
def test_what_is_no_pattern_at_all(tmp_path: Path, pattern: str, shown: str) -> None:
    (said,) = problems(tmp_path, body(f"filter_criteria: {{filters: [{{pattern: {pattern}}}]}}"))
    assert said == (
        f"esm.yaml:5: mappings.m.filter_criteria.filters[0].pattern: {shown} is no pattern: write a mapping "
        "such as {body: {status: [paid]}}, or JSON text"
    )


def test_a_pattern_in_yaml_is_said_with_its_own_line(tmp_path: Path) -> None:
    text = body("filter_criteria:\n  filters:\n    - pattern:\n        body:\n          a: [x]\n          b: []")
    (said,) = problems(tmp_path, text)
    assert said.startswith("esm.yaml:10: mappings.m.filter_criteria.filters[0].pattern.body.b: is an empty list")


def test_a_key_given_twice_is_refused_in_either_form(tmp_path: Path) -> None:
    pattern = """'{"dynamodb": {"a": ["x"]}, "dynamodb": {"b": ["y"]}}'"""
    (said,) = problems(tmp_path, body(f"filter_criteria: {{filters: [{{pattern: {pattern}}}]}}"))
    assert "dynamodb is given twice" in said
    (said,) = problems(tmp_path, body("filter_criteria: {filters: [{pattern: {a: [x], a: [y]}}]}"))
    assert "duplicate key" in said


def test_a_pattern_that_is_wrong_in_defaults_is_said_there_and_once(tmp_path: Path) -> None:
    text = body("batch_size: 10") + "defaults: {filter_criteria: {filters: [{pattern: {body: []}}]}}\n"
    (said,) = problems(tmp_path, text)
    assert "defaults.filter_criteria.filters[0].pattern.body: is an empty list" in said


def test_at_most_ten_filters(tmp_path: Path) -> None:
    def text(count: int) -> str:
        return body("filter_criteria: {filters: [" + ", ".join(["{pattern: {body: [x]}}"] * count) + "]}")

    assert filters_of(tmp_path, text(10)) is not None
    assert problems(tmp_path, text(11)) == [
        "esm.yaml:5: mappings.m.filter_criteria.filters: has 11 entries: at most 10 allowed"
    ]


def test_at_most_4096_characters(tmp_path: Path) -> None:
    def text(length: int) -> str:
        return body('filter_criteria: {filters: [{pattern: \'{"body": ["' + "x" * (length - 14) + "\"]}'}]}")

    assert filters_of(tmp_path, text(4096)) is not None
    (said,) = problems(tmp_path, text(4097))
    assert "has 4,097 characters: at most 4,096 are allowed" in said


@pytest.mark.parametrize(
    "operator",
    ["{wildcard: 'a*'}", "{cidr: 10.0.0.0/8}", "{anything-but: {prefix: a}}"],
)
def test_d10_what_aws_has_for_event_buses_only_is_taken_but_not_with_strict_aws(
    tmp_path: Path, operator: str
) -> None:
    criteria = f"filter_criteria: {{filters: [{{pattern: {{body: {{a: [{operator}]}}}}}}]}}"
    assert filters_of(tmp_path, body(criteria)) is not None
    (said,) = problems(tmp_path, body(f"{criteria}\nstrict_aws: true"))
    assert "a mapping on AWS does not take it, and strict_aws asks for what AWS does" in said


def test_a_broken_value_is_complained_about_once(tmp_path: Path) -> None:
    text = body('filter_criteria: {filters: [{pattern: {body: {a: ["${MISSING_ONE}"]}}}]}')
    (said,) = problems(tmp_path, text)
    assert "MISSING_ONE" in said


def test_the_options_keep_the_pattern_as_text(tmp_path: Path) -> None:
    text = f"mappings: {{m: {{source: {ORDERS}, target: http://x/, {_YAML}}}}}\n"
    (mapping,) = loaded(tmp_path, text).config.mappings.values()
    (given,) = mapping.options.filter_criteria.filters
    assert given.pattern == '{"body":{"a":["x",1.0,true,null]}}'


_YAML = "filter_criteria: {filters: [{pattern: {body: {a: [x, 1.0, true, null]}}}]}"


@pytest.mark.parametrize(
    ("pattern", "place", "said"),
    [
        ("{data: {status: [paid]}}", ".data", "`data` (the data is in `body`)"),
        ("{Body: {status: [paid]}}", ".Body", "`Body` (did you mean `body`?)"),
        (
            """'{"message_attributes": {"k": ["v"]}}'""",
            "",
            "`message_attributes` (did you mean `messageAttributes`?)",
        ),
    ],
)
def test_a_field_that_no_record_has_is_warned_of(tmp_path: Path, pattern: str, place: str, said: str) -> None:
    text = body(f"filter_criteria: {{filters: [{{pattern: {pattern}}}]}}")
    (warning,) = loaded(tmp_path, text).warnings
    assert warning.endswith(
        f"esm.yaml:5: mappings.m.filter_criteria.filters[0].pattern{place}: no record has a field {said}, so this "
        "never matches, and what no pattern matches is deleted"
    )


def test_a_field_that_must_not_be_there_is_not_warned_of(tmp_path: Path) -> None:
    text = body("filter_criteria: {filters: [{pattern: {data: [{exists: false}], body: {a: [1]}}}]}")
    assert loaded(tmp_path, text).warnings == ()
