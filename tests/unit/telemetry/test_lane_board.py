"""The lanes of a log on the status board: what is a PROBLEM, for how long, and which lanes are shown as what."""

from collections.abc import Sequence

import pytest

from esm.model import Outcome
from esm.runtime.happenings import Happening, Invoked, MappingState, Polled, SourceFailed, State
from esm.runtime.lane_happenings import (
    Bisected,
    Committed,
    Crowded,
    DestinationFailed,
    Dropped,
    LaneEnded,
    LaneLost,
    LaneStarted,
    LaneStopped,
    NotMoving,
    RecordsLost,
    Retried,
    Stalled,
    Unstalled,
)
from esm.runtime.status.board import StatusBoard
from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.trouble import Blame
from esm.runtime.status.values import Live, MappingStatus


class Clock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> StatusBoard:
    return StatusBoard(clock)


def seen(board: StatusBoard) -> MappingStatus:
    status = board.mapping("stream")
    assert status is not None
    return status


def call(outcome: Outcome) -> Invoked:
    return Invoked("stream", "b", 1, 10, 0, outcome, (0.1,), 0.1, "why")


WORKED, FAILED, REFUSED = (
    call(outcome) for outcome in (Outcome.SUCCESS, Outcome.FUNCTION_ERROR, Outcome.UNREACHABLE)
)
READ = Polled("stream", 10, 0.5)
STALLED = Stalled("stream", "s-1", "the store fails: disk full")
SAYS = "PROBLEM: Stalled: lane s-1: the store fails: disk full"
LOST = RecordsLost("stream", "s-1", 12)


@pytest.mark.parametrize(
    ("told", "result"),
    [
        ([WORKED, STALLED], SAYS),
        ([STALLED, READ, WORKED], SAYS),
        (
            [STALLED, Stalled("stream", "s-2", "other")],
            "PROBLEM: Stalled: 1 more lanes and lane s-1: the store fails: disk full",
        ),
        ([STALLED, Stalled("stream", "s-2", "other"), Unstalled("stream", "s-2")], SAYS),
        ([STALLED, Unstalled("stream", "s-2")], SAYS),
        ([WORKED, STALLED, Unstalled("stream", "s-1")], "OK"),
        ([WORKED, STALLED, LaneStarted("stream", "s-1", 5, careful=True)], "OK"),
        ([WORKED, STALLED, LaneStopped("stream", "s-1", 5)], "OK"),
        ([WORKED, STALLED, LaneEnded("stream", "s-1", None)], "OK"),
        ([WORKED, STALLED, LaneLost("stream", "s-1", 10.0)], "OK"),
        ([STALLED, FAILED], SAYS),
        ([STALLED, SourceFailed("stream", "Denied", "no", 1.0)], "PROBLEM: Denied: no"),
        (
            [LOST, WORKED, FAILED],
            "PROBLEM: Records lost: 12 records of lane s-1 were trimmed before they were read",
        ),
        (
            [RecordsLost("stream", "s-1", 0)],
            "PROBLEM: Records lost: lane s-1 was trimmed before it was read, nobody knows by how many records",
        ),
        ([FAILED, Dropped("stream", "s-1", 1, "RetryAttemptsExhausted", "dlq")], "OK"),
        ([REFUSED, Dropped("stream", "s-1", 1, "RecordAgeExceeded", None)], "PROBLEM: Target unreachable: why"),
        ([WORKED, Crowded("stream", "s-1", "r", "k", 100_000), NotMoving("stream", "s-1", 300.0, "why")], "OK"),
    ],
)
def test_the_result_follows_the_lanes(board: StatusBoard, told: Sequence[Happening], result: str) -> None:
    for happening in told:
        board.tell(happening)
    assert seen(board).last_processing_result == result
    assert (seen(board).blame is not None) == result.startswith("PROBLEM")


def test_a_loss_is_shown_for_a_quarter_of_an_hour_after_the_last(board: StatusBoard, clock: Clock) -> None:
    blames = []
    for seconds, told in ((0, LOST), (800, READ), (0, LOST), (899, READ), (1, READ)):
        clock.now += seconds
        board.tell(told)
        blames.append(seen(board).blame)
    assert blames == [Blame.LOSS, Blame.LOSS, Blame.LOSS, Blame.LOSS, None]
    assert seen(board).counts.lost == 24


def test_a_mapping_that_does_not_run_is_not_stalled(board: StatusBoard) -> None:
    board.attach("stream", lambda: Live(lanes={"s-1": LaneFigures()}))
    board.tell(STALLED)
    board.tell(LaneLost("stream", "s-2", 10.0))
    board.detach("stream")
    assert seen(board).blame is None
    assert not seen(board).lanes


def test_a_log_has_no_queue_that_would_tell_an_age(board: StatusBoard) -> None:
    board.tell(LaneStarted("stream", "s-1", None, careful=False))
    board.tell(READ)
    assert seen(board).depth.oldest is None


def test_what_was_given_up_is_counted_by_whether_somebody_knows(board: StatusBoard) -> None:
    board.tell(Dropped("stream", "s-1", 3, "RecordAgeExceeded", None))
    board.tell(Dropped("stream", "s-1", 4, "RecordAgeExceeded", "dlq"))
    assert (seen(board).counts.dropped, seen(board).counts.delivered_on_failure) == (3, 4)


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (STALLED, "Lane s-1 is stalled: the store fails: disk full"),
        (LOST, "12 records of lane s-1 were trimmed before they were read"),
        (DestinationFailed("stream", "s-1", "dlq", 2, "denied", 1.0), "Destination dlq took no notice: denied"),
        (Dropped("stream", "s-1", 2, "X", "dlq"), "2 records of lane s-1 were given up (X) and sent to dlq"),
        (
            Dropped("stream", "s-1", 2, "X", None),
            "2 records of lane s-1 were given up (X), nobody is told of them",
        ),
        (LaneLost("stream", "s-1", 9.0), "Lane s-1 was taken by somebody else"),
        (NotMoving("stream", "s-1", 300.4, "nobody knows"), "Lane s-1 did not move for 300 s: nobody knows"),
    ],
)
def test_the_last_error_tells_of_lanes(board: StatusBoard, told: Happening, text: str) -> None:
    board.tell(told)
    board.tell(WORKED)
    error = seen(board).last_error
    assert error is not None
    assert error.text == text


@pytest.mark.parametrize(
    "told",
    [
        LaneStarted("stream", "s-1", None, careful=False),
        LaneEnded("stream", "s-1", ["s-2"]),
        LaneStopped("stream", "s-1", 5),
        Unstalled("stream", "s-1"),
        Crowded("stream", "s-1", "r", "k", 100_000),
        Committed("stream", "s-1", 5, 0, 0),
        Bisected("stream", "s-1", "b", 10),
        Retried("stream", "s-1", "b", 10, "partial", 1, 1.0),
    ],
)
def test_what_a_lane_does_anyway_is_no_error(board: StatusBoard, told: Happening) -> None:
    board.tell(told)
    assert seen(board).last_error is None


@pytest.mark.parametrize(
    ("figures", "state"),
    [
        (LaneFigures(), "Reading"),
        (LaneFigures(is_open=False), "Opening"),
        (LaneFigures(attempts=1), "Retrying"),
        (LaneFigures(attempts=1, crowded=True), "Crowded"),
        (LaneFigures(attempts=1, crowded=True, stalled="why"), "Stalled"),
    ],
)
def test_of_several_states_the_worst_is_shown(board: StatusBoard, figures: LaneFigures, state: str) -> None:
    board.attach("stream", lambda: Live(lanes={"s-1": figures}))
    assert {name: lane.state for name, lane in seen(board).lanes.items()} == {"s-1": state}


def test_a_lost_lane_is_shown_until_it_is_taken_again_or_over(board: StatusBoard) -> None:
    board.tell(State("stream", MappingState.ENABLED))
    for lane in ("s-1", "s-2"):
        board.tell(LaneLost("stream", lane, 10.0))
    assert {name: lane.state for name, lane in seen(board).lanes.items()} == {"s-1": "Lost", "s-2": "Lost"}
    board.tell(LaneStarted("stream", "s-1", 5, careful=True))
    board.tell(LaneEnded("stream", "s-2", None))
    assert not seen(board).lanes
