"""Log lines of lanes: each happening its level, repeats held back per lane, positions as texts."""

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from esm.runtime.happenings import Happening
from esm.runtime.lane_happenings import (
    Bisected,
    Committed,
    Crowded,
    DestinationFailed,
    Dropped,
    LaneEnded,
    LaneHappening,
    LaneLost,
    LaneReplaced,
    LaneStarted,
    LaneStopped,
    NotMoving,
    RecordsLost,
    Retried,
    Stalled,
    Unstalled,
)
from esm.telemetry.log_format import Level, logging_to
from esm.telemetry.logs import LogObserver

HUGE = 10**55
EACH: list[tuple[LaneHappening, Level]] = [
    (LaneStarted("stream", "s-1", HUGE, careful=False), "info"),
    (LaneStarted("stream", "s-1", None, careful=True), "info"),
    (LaneEnded("stream", "s-1", ["s-2", "s-3"]), "info"),
    (LaneEnded("stream", "s-1", None), "info"),
    (LaneStopped("stream", "s-1", HUGE), "info"),
    (LaneLost("stream", "s-1", 10.0), "warning"),
    (LaneReplaced("stream", "s-1"), "warning"),
    (Retried("stream", "s-1", "b", 10, "partial", 1, 1.0), "debug"),
    (Retried("stream", "s-1", "", 10, "crash", 1, 0.0), "warning"),
    (Bisected("stream", "s-1", "b", 10), "debug"),
    (Dropped("stream", "s-1", 1, "RecordAgeExceeded", None), "error"),
    (Dropped("stream", "s-1", 1, "RecordAgeExceeded", "dlq"), "warning"),
    (DestinationFailed("stream", "s-1", "dlq", 1, "denied", 1.0), "error"),
    (Stalled("stream", "s-1", "the store fails"), "error"),
    (Unstalled("stream", "s-1"), "info"),
    (Crowded("stream", "s-1", "r-1", "k", 100_000), "warning"),
    (Committed("stream", "s-1", HUGE, 0, 0), "debug"),
    (RecordsLost("stream", "s-1", 12), "error"),
    (RecordsLost("stream", "s-1", 0), "error"),
    (NotMoving("stream", "s-1", 300.0, "nobody knows why"), "warning"),
]


def lines(told: Sequence[Happening], level: Level = "info") -> list[dict[str, Any]]:
    """What is written when these happen one second after another."""
    seconds = iter(range(1_000_000))
    stream = io.StringIO()
    with logging_to(stream, "json", level, lambda: 1_700_000_000.0) as log:
        observer = LogObserver(log, lambda: float(next(seconds)))
        for happening in told:
            observer.tell(happening)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(("told", "level"), EACH)
def test_each_happening_of_a_lane_has_its_level(told: LaneHappening, level: Level) -> None:
    levels: list[Level] = ["debug", "info", "warning", "error"]
    written = {at: {line["level"] for line in lines([told], at)} for at in levels}
    assert [at for at in levels if level in written[at]] == levels[: levels.index(level) + 1]
    assert all((line["mapping"], line["lane"]) == ("stream", "s-1") for line in lines([told], "debug"))


def test_no_happening_of_a_lane_is_without_a_line() -> None:
    assert {type(told) for told, _ in EACH} == set(LaneHappening.__subclasses__())


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (LaneStarted("stream", "s-1", HUGE, careful=False), "position"),
        (LaneStopped("stream", "s-1", HUGE), "position"),
        (Committed("stream", "s-1", HUGE, 0, 0), "at"),
    ],
)
def test_positions_are_texts(told: LaneHappening, field: str) -> None:
    assert [line[field] for line in lines([told], "debug")] == [str(HUGE)]


def test_a_lane_that_does_not_move_is_told_with_why() -> None:
    (line,) = lines([NotMoving("stream", "s-1", 300.2, "the store fails")])
    assert line["message"] == "lane does not move although there is data"
    assert (line["seconds"], line["reason"]) == (300, "the store fails")


def test_a_lane_that_reads_nothing_more_says_which_record_and_key_hold_it() -> None:
    (line,) = lines([Crowded("stream", "s-1", "r-1", "k\udcff" + "y" * 600, 100_000)])
    assert (line["record_id"], line["key"][:7], len(line["key"])) == ("r-1", r"k\udcff", 500)


@pytest.mark.parametrize(("lost", "said"), [(12, 12), (0, "unknown")])
def test_a_loss_of_unknown_size_says_so(lost: int, said: object) -> None:
    assert lines([RecordsLost("stream", "s-1", lost)])[0]["records"] == said


def test_repeats_are_held_back_for_each_lane_of_its_own() -> None:
    failed = [DestinationFailed("stream", lane, "dlq", 1, "denied", 1.0) for lane in ("s-1", "s-2")]
    written = lines(failed * 31)
    assert [(line["lane"], line.get("repeated")) for line in written] == [
        ("s-1", None),
        ("s-2", None),
        ("s-1", 29),
        ("s-2", 29),
    ]
