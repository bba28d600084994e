"""`esm filter` as a person meets it: exit codes, a line per record, and which field decided."""

import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from esm.cli.app import app

PAID = '{"body": {"status": ["paid"]}}'


def run(pattern: str, event: object, *more: str) -> Result:
    given = event if isinstance(event, str) else json.dumps(event)
    return CliRunner().invoke(app, ["filter", "--pattern", pattern, "--event", given, *more])


def message(status: str) -> dict[str, str]:
    return {"messageId": status, "body": json.dumps({"status": status})}


def base64ed(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def test_a_match_and_none() -> None:
    assert (run(PAID, message("paid")).exit_code, run(PAID, message("paid")).stdout) == (0, "match\n")
    assert (run(PAID, message("open")).exit_code, run(PAID, message("open")).stdout) == (1, "no match\n")


def test_files(tmp_path: Path) -> None:
    (tmp_path / "pattern.json").write_text(PAID)
    (tmp_path / "event.json").write_text(json.dumps({"Records": [message("open"), message("paid")]}))
    ended = run(str(tmp_path / "pattern.json"), str(tmp_path / "event.json"))
    assert (ended.exit_code, ended.stdout) == (0, "1: no match\n2: match\n")


@pytest.mark.parametrize(
    "pattern",
    [
        json.dumps({"Filters": [{"Pattern": '{"body": ["x"]}'}, {"Pattern": PAID}]}),
        '{"filters": [{"pattern": {"body": {"status": ["paid"]}}}]}',
        '{"FilterCriteria": {"Filters": [{"Pattern": {"body": {"status": ["paid"]}}}]}}',
    ],
)
def test_a_whole_filter_criteria(pattern: str) -> None:
    assert run(pattern, message("paid")).exit_code == 0
    assert run(pattern, message("open")).exit_code == 1


def test_half_a_surrogate_pair_is_shown_escaped() -> None:
    ended = run(PAID, {"body": r'{"status": "cut \ud83d"}'}, "--source", "sqs", "--explain")
    assert ended.exit_code == 1
    assert r'body.status is "cut \ud83d"' in ended.stdout


def test_without_filters_everything_passes() -> None:
    assert run('{"Filters": []}', message("paid")).exit_code == 0


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{}", "Invalid filter pattern definition. the pattern is an empty object"),
        ('{"body": []}', "Invalid filter pattern definition. body is an empty list"),
        (
            '{"body": {"a": [{"numeric": ["x", 1]}]}}',
            "Invalid filter pattern definition. body.a[0].numeric takes ",
        ),
        ("missing.json", "'missing.json' is neither JSON nor a file that can be read"),
        ('{"body"', "Invalid filter pattern definition. the pattern is no JSON"),
    ],
)
def test_an_invalid_pattern(pattern: str, said: str) -> None:
    ended = run(pattern, message("paid"))
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(said)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{", "the event is no JSON"),
        ("missing.json", "'missing.json' is neither JSON"),
        ("[1, 2]", "a record has to be a JSON object"),
    ],
)
def test_an_unusable_event(event: str, said: str) -> None:
    ended = run(PAID, event)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(said)


def test_strict_aws_refuses_what_aws_has_for_event_buses() -> None:
    pattern = '{"body": {"status": [{"wildcard": "p*"}]}}'
    assert run(pattern, message("paid")).exit_code == 0
    assert run(pattern, message("paid"), "--strict-aws").exit_code == 2


def test_the_source_decides_where_the_data_is() -> None:
    data = base64ed({"status": "paid"})
    kinesis = {"Records": [{"kinesis": {"data": data, "partitionKey": "1"}, "eventName": "aws:kinesis:record"}]}
    assert run('{"data": {"status": ["paid"]}}', kinesis, "--source", "kinesis").exit_code == 0
    kafka = {"eventSource": "aws:kafka", "records": {"t-0": [{"value": data}], "t-1": [{"value": "bm8="}]}}
    ended = run('{"value": {"status": ["open"]}}', kafka, "--source", "kafka")
    assert ended.stdout == "1: no match\n2: match\n"  # a plain string: only the rest of the pattern counts
    rabbit = {"rmqMessagesByQueue": {"q::/": [{"data": data, "redelivered": False}]}}
    assert run('{"data": {"status": ["paid"]}}', rabbit, "--source", "mq").exit_code == 0
    active = {"messages": [{"messageID": "1", "data": base64ed("Result: 1")}]}
    assert run('{"data": [{"prefix": "Result: "}]}', active, "--source", "mq").exit_code == 0
    dynamodb = {"Records": [{"eventName": "INSERT", "dynamodb": {"Keys": {"Id": {"N": "5"}}}}]}
    assert run('{"dynamodb": {"Keys": {"Id": {"N": ["5"]}}}}', dynamodb, "--source", "dynamodb").exit_code == 0


def test_none_matches_the_event_as_it_is_also_lists_and_json_lines() -> None:
    pattern = '{"Records": {"a": [1]}}'
    assert run(pattern, {"Records": [{"a": 1}]}, "--source", "none").stdout == "match\n"
    assert run(pattern, [{"Records": {"a": 1}}, {}], "--source", "none").stdout == "1: match\n2: no match\n"
    lines = '{"Records": {"a": 2}}\n\n{"Records": {"a": 1}}\n'
    assert run(pattern, lines, "--source", "none").stdout == "1: no match\n2: match\n"


def test_numbers_in_the_event_keep_their_spelling() -> None:
    assert run('{"n": [300]}', '{"n": 300.0}', "--source", "none").exit_code == 1
    assert run('{"n": [3.0e2]}', '{"n": 3.0e2}', "--source", "none").exit_code == 0


EXPLAINED = [
    (PAID, message("paid"), 'the pattern matches: body.status is "paid", wanted ["paid"]'),
    (PAID, message("open"), 'the pattern does not match: body.status is "open", wanted ["paid"]'),
    (PAID, {"body": "plain"}, "the pattern does not match: body is a plain string, and the pattern expects JSON"),
    (PAID, {"body": "{}"}, 'the pattern does not match: body.status is missing, wanted ["paid"]'),
    (
        '{"body": {"lines": {"sku": ["a"], "n": [2]}}}',
        {"body": '{"lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}'},
        "the pattern does not match: no element of an array has all of body.lines.n, body.lines.sku at once",
    ),
    (
        '{"body": {"n": [{"numeric": [">", 1.50]}]}}',
        {"body": '{"n": 1.0}'},
        'the pattern does not match: body.n is 1.0, wanted [{"numeric": [">", 1.50]}]',
    ),
]


@pytest.mark.parametrize(("pattern", "event", "said"), EXPLAINED)
def test_the_field_that_decided(pattern: str, event: object, said: str) -> None:
    _, line = run(pattern, event, "--explain").stdout.splitlines()
    assert line == f"  {said}"


def test_every_pattern_that_does_not_match_is_explained() -> None:
    pattern = '{"Filters": [{"Pattern": {"body": {"a": [1]}}}, {"Pattern": {"body": {"b": [1]}}}]}'
    assert run(pattern, {"body": '{"b": 2}'}, "--explain").stdout.splitlines() == [
        "no match",
        "  pattern 1 does not match: body.a is missing, wanted [1]",
        "  pattern 2 does not match: body.b is 2, wanted [1]",
    ]


def test_data_of_another_format_is_explained_for_kafka() -> None:
    pattern = '{"value": {"a": [1]}, "topic": ["t"]}'
    said = run(pattern, {"topic": "t", "value": base64ed("text")}, "--source", "kafka", "--explain").stdout
    assert 'topic is "t", wanted ["t"]; what it says of value does not count, which is a plain string' in said


def test_what_is_nested_too_deep_is_kept_and_said() -> None:
    ended = run(PAID, {"body": '{"a":' * 3000 + "1" + "}" * 3000}, "--explain")
    assert ended.exit_code == 0
    assert "kept: the data cannot be read far enough" in ended.stdout


IN_YAML = [
    "body:\n  status: [paid]\n",
    "filter_criteria:\n  filters:\n    - pattern: {body: {status: [paid]}}\n",
    """FilterCriteria: {Filters: [{Pattern: '{"body": {"status": ["paid"]}}'}]}\n""",
]


@pytest.mark.parametrize("text", IN_YAML)
def test_a_pattern_in_a_yaml_file_as_a_configuration_has_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "pattern.yaml").write_text(text)
    assert run(str(tmp_path / "pattern.yaml"), message("paid")).exit_code == 0
    assert run(str(tmp_path / "pattern.yaml"), message("open")).exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: is no pattern: the file has to hold one pattern, or `filter_criteria` alone"),
        ("- a\n", ":1: is no pattern: the file has to hold one pattern, or `filter_criteria` alone"),
        ("mappings: {}\n", ":1: is no pattern: the file has to hold one pattern, or `filter_criteria` alone"),
        ("body: [a\n", ":2: is no YAML: "),
        ("body: {status: paid}\n", "Invalid filter pattern definition. body.status has to be an object"),
    ],
)
def test_a_yaml_file_without_a_pattern(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pattern.yaml").write_text(text)
    ended = run(str(tmp_path / "pattern.yaml"), message("paid"))
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert said in ended.stderr


NEITHER = "warning: no record has `body`, as those of sqs do: "
DOUBTS = [
    (PAID, {"status": "paid"}, "sqs", NEITHER + 'write {"body": …} around the data itself'),
    (
        PAID,
        {"Records": [{"kinesis": {"data": "e30="}}]},
        "sqs",
        NEITHER + 'write {"body": …} around the data itself, or try --source kinesis',
    ),
    (
        PAID,
        {"Messages": [{"Body": "{}"}]},
        "sqs",
        NEITHER + "this is how the SQS API has messages; a function gets {Records: [{body: …}]}",
    ),
    (PAID, {"Records": []}, "sqs", "warning: the event holds no records"),
    (
        '{"data": {"a": [1]}}',
        message("paid"),
        "sqs",
        "warning: the pattern: no record has a field `data` (the data is in `body`)",
    ),
    (
        '{"Body": ["x"]}',
        message("x"),
        "sqs",
        "warning: the pattern: no record has a field `Body` (did you mean `body`?)",
    ),
]


@pytest.mark.parametrize(("pattern", "event", "source", "said"), DOUBTS)
def test_what_was_probably_not_meant(pattern: str, event: object, source: str, said: str) -> None:
    ended = run(pattern, event, "--source", source)
    assert (ended.exit_code, ended.stderr) == (1, f"{said}\n")


def test_a_field_that_must_not_be_there_is_no_doubt() -> None:
    ended = run('{"data": [{"exists": false}]}', message("paid"))
    assert (ended.exit_code, ended.stderr) == (0, "")


def test_the_topics_of_kafka_by_themselves_as_the_pages_of_aws_have_them() -> None:
    event = {"orders-0": [{"topic": "orders", "value": {"status": "paid"}}]}
    assert run('{"value": {"status": ["paid"]}}', event, "--source", "kafka").exit_code == 0
    assert run('{"value": {"status": ["open"]}}', event, "--source", "kafka").exit_code == 1
