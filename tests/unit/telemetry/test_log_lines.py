"""The log: which happenings are worth a line, at what level, in what format, and that nobody waits for it."""

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from esm.model import Outcome
from esm.runtime.happenings import (
    Abandoned,
    BackPressure,
    Crashed,
    Deleted,
    Extended,
    Filtered,
    Happening,
    Invoked,
    LetGo,
    MappingState,
    Paused,
    Polled,
    QueueDepth,
    Rejection,
    Released,
    Renewed,
    SourceFailed,
    SourceRecovered,
    State,
    Unfilterable,
)
from esm.telemetry.lines import LineWriter
from esm.telemetry.log_format import Format, Level, logging_to
from esm.telemetry.logs import LogObserver

WALL = 1_700_000_000.25


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def call(outcome: Outcome, why: str = "") -> Invoked:
    return Invoked(
        "orders",
        batch_id="b1",
        attempt=2,
        records=10,
        failed=3,
        outcome=outcome,
        ages=(0.1,),
        duration=0.25,
        why=why,
    )


def lines(told: Sequence[Happening], level: Level = "info") -> list[dict[str, Any]]:
    """What is written when these happen one second after another."""
    seconds = iter(range(1_000_000))
    stream = io.StringIO()
    with logging_to(stream, "json", level, lambda: WALL) as log:
        observer = LogObserver(log, lambda: float(next(seconds)))
        for happening in told:
            observer.tell(happening)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def text(log_format: Format, write: Callable[[Any], None], stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    with logging_to(stream, log_format, "info", lambda: WALL) as log:
        write(log)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("told", "level"),
    [
        (call(Outcome.SUCCESS), "debug"),
        (call(Outcome.PARTIAL), "info"),
        (call(Outcome.FUNCTION_ERROR), "warning"),
        (call(Outcome.TIMEOUT), "warning"),
        (call(Outcome.THROTTLED), "warning"),
        (call(Outcome.UNREACHABLE), "warning"),
        (call(Outcome.MISCONFIGURED), "error"),
        (Polled("orders", 10, 0.1), "debug"),
        (Renewed("orders", 1), "debug"),
        (Filtered("orders", 1, []), "debug"),
        (Filtered("orders", 2, ["m"]), "warning"),
        (Unfilterable("orders", "m", "KeyError: body"), "error"),
        (Paused("orders", "b", 10, 1.0), "debug"),
        (QueueDepth("orders", 1, 2), "debug"),
        (Deleted("orders", "b", 10, ()), "debug"),
        (Deleted("orders", "b", 9, ["m"]), "error"),
        (Extended("orders", 10, 0, 0), "debug"),
        (Extended("orders", 9, 1, 0), "warning"),
        (Extended("orders", 0, 0, 10), "warning"),
        (Rejection("orders", "m", "above 6 MB"), "warning"),
        (Released("orders", 4, "stopping"), "info"),
        (LetGo("orders", "b", 10), "warning"),
        (SourceFailed("orders", "AccessDenied", "no", 5.0), "error"),
        (BackPressure("orders", "120,000 in flight"), "warning"),
        (SourceRecovered("orders"), "info"),
        (Crashed("orders", ValueError("oops"), 1.0), "error"),
        (State("orders", MappingState.ENABLED), "info"),
        (Abandoned("orders", ["m"]), "warning"),
    ],
)
def test_each_happening_has_its_level(told: Happening, level: Level) -> None:
    levels: list[Level] = ["debug", "info", "warning", "error"]
    written = {at: {line["level"] for line in lines([told], at)} for at in levels}
    assert [at for at in levels if level in written[at]] == levels[: levels.index(level) + 1]
    assert all(line["mapping"] == "orders" for line in lines([told], "debug"))


def test_a_line_says_what_an_operator_needs() -> None:
    (line,) = lines([call(Outcome.TIMEOUT, "took longer than 30 s")])
    assert line == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "message": "function timed out",
        "mapping": "orders",
        "batch_id": "b1",
        "attempt": 2,
        "records": 10,
        "failed": 3,
        "outcome": "timeout",
        "duration": 0.25,
        "reason": "took longer than 30 s",
    }
    assert list(line)[:4] == ["timestamp", "level", "message", "mapping"]


def test_the_same_problem_is_told_once_a_minute_with_how_often_it_was_held_back() -> None:
    told = [call(Outcome.FUNCTION_ERROR, "KeyError")] * 61
    written = lines(told)
    assert len(written) == 2
    assert "repeated" not in written[0]
    assert written[1]["repeated"] == 59


@pytest.mark.parametrize(
    "other",
    [
        call(Outcome.FUNCTION_ERROR, "TypeError"),
        call(Outcome.TIMEOUT, "KeyError"),
        SourceFailed("orders", "x", "KeyError", 1.0),
        Invoked("mails", "b", 1, 10, 10, Outcome.FUNCTION_ERROR, (0.1,), 0.1, "KeyError"),
    ],
)
def test_another_problem_is_told_at_once(other: Happening) -> None:
    assert len(lines([call(Outcome.FUNCTION_ERROR, "KeyError"), other])) == 2


def test_many_different_problems_do_not_fill_the_memory() -> None:
    stream = io.StringIO()
    with logging_to(stream, "json", "error", lambda: WALL) as log:
        observer = LogObserver(log, lambda: 0.0)
        for number in range(3_000):
            observer.tell(call(Outcome.FUNCTION_ERROR, f"no such order: {number}"))
        assert len(observer._repeats._said) == 1_000


def test_ids_of_many_records_are_not_all_listed() -> None:
    (line,) = lines([Abandoned("orders", [f"m-{number}" for number in range(500)])])
    assert line["records"] == 500
    assert len(line["record_ids"]) == 10


def test_pages_of_error_text_are_cut() -> None:
    (line,) = lines([call(Outcome.FUNCTION_ERROR, "x" * 10_000)])
    assert len(line["reason"]) == 500


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_crash_shows_its_traceback_without_local_variables(log_format: Format) -> None:
    def crash() -> None:
        payload = "ydob terces eht"[::-1]  # so that the line of source, which is shown, does not hold it
        raise ValueError(f"{len(payload)} bytes")

    def write(log: Any) -> None:
        try:
            crash()
        except ValueError as error:
            LogObserver(log, lambda: 0.0).tell(Crashed("orders", error, 1.0))

    written = text(log_format, write)
    assert "in crash" in written
    assert "ValueError: 15 bytes" in written
    assert "the secret body" not in written


def test_auto_is_json_and_readable_lines_on_a_terminal() -> None:
    def write(log: Any) -> None:
        log.info("started", mapping="orders")

    assert json.loads(text("auto", write))["message"] == "started"
    on_terminal = text("auto", write, Terminal())
    assert "started" in on_terminal
    assert "\x1b[" in on_terminal
    assert "\x1b[" not in text("console", write)


@pytest.mark.parametrize(
    "value", ["half a pair: \ud800", 2**80, b"bytes", {1: object()}, "line\nbreak", "\x00", float("nan")]
)
def test_no_value_is_too_odd_for_one_line_of_json(value: object) -> None:
    written = text("json", lambda log: log.info("odd", value=value))
    (line,) = written.splitlines()
    assert json.loads(line)["message"] == "odd"


def test_libraries_speak_in_the_same_format_from_warning_on() -> None:
    def write(_: Any) -> None:
        logging.getLogger("botocore").debug("body: secret")
        logging.getLogger("aiohttp.access").info("GET /")
        logging.getLogger("asyncio").warning("Executing %s took long", "x")

    (line,) = text("json", write).splitlines()
    assert json.loads(line) == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "message": "Executing x took long",
        "logger": "asyncio",
    }


@pytest.mark.parametrize(("level", "heard"), [("info", ["printed", "odd"]), ("warning", ["odd"])])
def test_what_functions_print_is_heard_from_the_level_of_the_log_on(level: Any, heard: list[str]) -> None:
    stream = io.StringIO()
    with logging_to(stream, "json", level, lambda: 0.0):
        logging.getLogger("esm.function").info("printed")
        logging.getLogger("esm.functionary").info("no")
        logging.getLogger("esm.function").warning("odd")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == heard
    assert logging.getLogger("esm.function").level == logging.NOTSET


def test_warnings_become_lines_too() -> None:
    def write(_: Any) -> None:
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)

    with warnings.catch_warnings():
        assert "old way" in json.loads(text("json", write))["message"]


def test_logging_is_left_as_it_was() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, warnings.showwarning, threading.active_count())
    text("json", lambda log: log.info("x"))
    assert (list(root.handlers), root.level, warnings.showwarning, threading.active_count()) == before


class Stuck(io.StringIO):
    """A pipe whose reader has stopped: writing blocks until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = threading.Event()
        self.go = threading.Event()

    def write(self, line: str) -> int:
        self.writing.set()
        self.go.wait()
        return super().write(line)


def test_a_stuck_reader_blocks_nobody_and_what_was_dropped_is_confessed() -> None:
    stream = Stuck()
    writer = LineWriter(stream, lambda count: f"{count} dropped", room=2, patience=30.0)
    writer.write("first")
    assert stream.writing.wait(30)
    for number in range(10):
        writer.write(f"line {number}")
    stream.go.set()
    writer.close()
    assert stream.getvalue().splitlines() == ["first", "8 dropped", "line 0", "line 1"]


def test_closing_gives_up_on_a_stuck_reader() -> None:
    stream = Stuck()
    writer = LineWriter(stream, str, patience=0.01)
    writer.write("never")
    writer.close()
    assert stream.getvalue() == ""
    stream.go.set()


def test_a_reader_that_has_gone_is_no_error() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream, str)
    stream.close()
    writer.write("into nothing")
    writer.close()


def test_what_the_stream_cannot_encode_is_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    writer = LineWriter(stream, str)
    writer.write("grün \ud800")
    writer.close()
    assert raw.getvalue() == b"gr\\xfcn \\ud800\n"


def test_stderr_is_a_stream_as_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to(sys.stderr, "json", "info", lambda: WALL) as log:
        log.info("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"
