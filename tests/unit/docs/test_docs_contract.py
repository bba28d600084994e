"""What the pages promise authors of functions and operators, held against the code."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from docs_pages import CONFIGURATION, FUNCTIONS, METRICS, README, blocks, code, table

from esm.cli.app import app
from esm.clients.http import Answered, Broken, Lapsed, Unreached
from esm.core.partial import Unreadable, failed_ids
from esm.model import Outcome, Refused, Reply, Returned
from esm.runtime.happenings import MappingState, SourceFailed, State
from esm.runtime.status.board import StatusBoard
from esm.sources.kinesis.answers import read_records
from esm.sources.kinesis.event import Encoder
from esm.targets.http.options import HttpOptions
from esm.targets.http.replies import reply_to
from esm.targets.http.target import signature
from esm.telemetry.prometheus import PrometheusObserver

REFUSED = HttpOptions(url="http://f/").refused_statuses


def reply(exchange: Any) -> Reply:
    return reply_to(exchange, refused=REFUSED, timeout=30, now=0)


def outcome(answer: Reply) -> tuple[Outcome | None, bool]:
    """The outcome, and whether the batch is held; None where the body decides."""
    return (None, False) if isinstance(answer, Returned) else (answer.outcome, isinstance(answer, Refused))


def promised(row: list[str]) -> tuple[Outcome | None, bool]:
    named = code(row[1])
    return (None, False) if "success" in named else (Outcome(named[0]), row[2].startswith("held"))


def row_of(status: int, *, thrown: bool) -> list[str]:
    """The first row of the README's table that fits."""
    for row in table(README, "answer"):
        numbers = {int(number) for number in re.findall(r"\b\d{3}\b", row[0])}
        if status in numbers and "X-Amz" not in row[0]:
            return row
        if thrown and "X-Amz-Function-Error" in row[0]:
            return row
        if re.match(rf"{status // 100}xx", row[0]) or row[0] == "any other status":
            return row
    raise AssertionError(status)


@pytest.mark.parametrize("thrown", [False, True])
def test_every_status_means_what_the_table_says(*, thrown: bool) -> None:
    headers = {"X-Amz-Function-Error": "Unhandled"} if thrown else {}
    for status in range(200, 600):
        answer = reply(Answered(status, headers, b"null"))
        assert outcome(answer) == promised(row_of(status, thrown=thrown)), status


@pytest.mark.parametrize(
    ("begins", "exchange"),
    [
        ("no complete answer", Lapsed()),
        ("no connection", Unreached("x")),
        ("the connection breaks", Broken("x")),
    ],
)
def test_endings_without_a_status_mean_what_the_table_says(begins: str, exchange: Any) -> None:
    (row,) = [row for row in table(README, "answer") if row[0].startswith(begins)]
    assert outcome(reply(exchange)) == promised(row)


def test_outcomes_of_the_table_are_all_there_are() -> None:
    assert {name for row in table(README, "answer") for name in code(row[1])} == {each.value for each in Outcome}


BODIES = [
    (body, row[1])
    for row in table(FUNCTIONS, "body of the answer")
    for body in code(row[0])
    if body not in {"a", "messageId", "batchItemFailures"}
]


@pytest.mark.parametrize(("body", "says"), [("", "success"), *BODIES])
def test_a_body_means_what_the_table_says(body: str, says: str) -> None:
    failed = failed_ids(body.encode(), {"a", "b"})
    if says == "success":
        assert failed == frozenset()
    elif says.startswith("partial"):
        assert failed == frozenset({"a"})
    else:
        assert says == "failure of all"
        assert isinstance(failed, Unreadable)


def test_there_are_bodies_of_every_kind() -> None:
    assert len(BODIES) >= 12
    assert "success" in dict(BODIES).values()


def snippet(name: str) -> Any:
    """The function of that name, as the page of functions has it."""
    (text,) = [block for block in blocks(FUNCTIONS, "python") if f"def {name}(" in block]
    names: dict[str, Any] = {}
    exec(text, names)
    return names[name]


def genuine() -> Callable[[bytes, str, bytes], bool]:
    return snippet("genuine")  # type: ignore[no-any-return]


def test_the_first_lambda_function_reports_the_poison() -> None:
    records = [{"messageId": body, "body": body} for body in ("one", "poison")]
    assert snippet("handler")({"Records": records}, None) == {"batchItemFailures": [{"itemIdentifier": "poison"}]}


def test_the_first_function_of_a_topic_reports_what_is_no_json() -> None:
    values = ["e30=", "b29wcw==", None]
    records = [{"offset": 7 + number, "value": value} for number, value in enumerate(values)]
    answer = snippet("handle")({"records": {"orders-0": records}}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": {"partition": "orders-0", "offset": 8}}]}


def test_the_snippet_tells_a_genuine_signature() -> None:
    check, now, body = genuine(), int(time.time()), json.dumps({"Records": []}).encode()
    assert check(b"secret", signature(b"secret", now, body), body)
    assert not check(b"other", signature(b"secret", now, body), body)
    assert not check(b"secret", signature(b"secret", now, body), body + b" ")
    assert not check(b"secret", signature(b"secret", now - 3600, body), body)
    moved = signature(b"secret", now, body).replace(f"t={now}", f"t={now - 1}")
    assert not check(b"secret", moved, body)


def exposed() -> set[str]:
    """The names of everything that `/metrics` shows of a mapping that has met everything."""
    board = StatusBoard(time.time)
    observer = PrometheusObserver(board, "0", lambda: 0.0)
    for told in (State("m", MappingState.ENABLED), SourceFailed("m", "X", "y", 1.0)):
        board.tell(told)
        observer.tell(told)
    suffix = {"counter": "_total", "info": "_info"}
    return {
        f"{family.name}{suffix.get(family.type, '')}"
        for family in observer.registry.collect()
        if family.name.startswith("esm_")
    }


def test_the_table_of_metrics_is_complete() -> None:
    assert {
        name for row in table(METRICS, "metric") for name in code(row[0]) if name.startswith("esm_")
    } == exposed()


def test_metrics_in_the_text_exist() -> None:
    for page in (README, METRICS, FUNCTIONS):
        assert set(re.findall(r"\besm_[a-z_]+\b", page.read_text())) <= exposed(), page


def test_metrics_of_the_readme_are_described_as_in_the_table_of_all() -> None:
    rows = table(README, "metric")
    assert len(rows) > 5
    assert all(row in table(METRICS, "metric") for row in rows)


def known_options() -> dict[str, set[str]]:
    import typer.main

    group: Any = typer.main.get_command(app)
    own = {option for parameter in group.params for option in parameter.opts}
    return {"": own} | {name: options_of(command) for name, command in group.commands.items()}


def options_of(command: Any) -> set[str]:
    """Of a command, and of those below it."""
    below = [options_of(one) for one in getattr(command, "commands", {}).values()]
    return {option for parameter in command.params for option in parameter.opts}.union(*below)


def test_the_table_of_commands_is_the_command_line() -> None:
    options = known_options()
    named = set()
    for row in table(README, "command"):
        (called,) = code(row[0])
        command = called.split()[1]
        named.add(command)
        used = set(re.findall(r"--[a-z-]+", " ".join(row)))
        assert used <= options[command], called
    assert named == options.keys() - {""}


def test_options_in_the_text_exist() -> None:
    every = set().union(*known_options().values())
    for page in (README, CONFIGURATION, FUNCTIONS, METRICS):
        text = re.sub(r"^\|[ |-]+\|$", "", page.read_text(), flags=re.MULTILINE)
        assert set(re.findall(r"--[a-z]+(?:-[a-z]+)*", text)) <= every, page


def test_the_identifier_of_a_record_of_a_stream_is_where_the_page_says() -> None:
    rows = {row[0]: code(row[2])[0].split(".") for row in table(FUNCTIONS, "source")}
    assert set(rows) == {"SQS", "Kinesis", "DynamoDB Streams", "Kafka"}
    told = {"SequenceNumber": "17", "Data": "", "PartitionKey": "k", "ApproximateArrivalTimestamp": 1}
    answer = read_records(json.dumps({"Records": [told]}).encode())
    stream = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
    (record,), *_ = Encoder(stream, "shardId-000000000000", "").encode(answer.Records, 0, 2.0, 99.5)
    outer, inner = rows["Kinesis"]
    assert json.loads(record.event)[outer][inner] == record.id == "17"
