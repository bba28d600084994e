"""The status board: AWS's words for what happened, and when it is over."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import structs

from esm.api.view import status_document
from esm.model import Outcome
from esm.runtime.happenings import (
    Abandoned,
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
    SourceFailed,
    SourceRecovered,
    State,
    Unfilterable,
)
from esm.runtime.status.board import StatusBoard
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


def call(outcome: Outcome, *, records: int = 10, failed: int = 0, why: str = "") -> Invoked:
    return Invoked(
        "orders",
        batch_id="b1",
        attempt=1,
        records=records,
        failed=failed,
        outcome=outcome,
        ages=(0.1,),
        duration=0.2,
        why=why,
    )


def seen(board: StatusBoard, name: str = "orders") -> MappingStatus:
    status = board.mapping(name)
    assert status is not None
    return status


def after(board: StatusBoard, *told: Happening) -> str:
    for happening in told:
        board.tell(happening)
    return seen(board).last_processing_result


WORKED = call(Outcome.SUCCESS)
FAILED = call(Outcome.FUNCTION_ERROR, failed=10, why="KeyError")
REFUSED = call(Outcome.UNREACHABLE, why="connection refused")
READ = Polled("orders", 10, 0.5)
BROKEN = SourceFailed("orders", "AccessDenied", "not allowed", 5.0)
EMPTY = QueueDepth("orders", 0, 0)


@pytest.mark.parametrize(
    ("told", "result"),
    [
        ([], "No records processed"),
        ([READ], "No records processed"),
        ([READ, WORKED], "OK"),
        ([call(Outcome.PARTIAL, failed=2, why="2 reported")], "OK"),
        ([FAILED], "PROBLEM: Function call failed"),
        ([call(Outcome.TIMEOUT, failed=10)], "PROBLEM: Function call failed"),
        ([FAILED, WORKED], "OK"),
        ([WORKED, FAILED, READ], "PROBLEM: Function call failed"),
        ([REFUSED], "PROBLEM: Target unreachable: connection refused"),
        ([call(Outcome.THROTTLED)], "PROBLEM: Target throttled"),
        ([call(Outcome.MISCONFIGURED, why="status 404")], "PROBLEM: Target misconfigured: status 404"),
        ([REFUSED, WORKED], "OK"),
        ([REFUSED, FAILED], "PROBLEM: Function call failed"),
        ([BROKEN], "PROBLEM: AccessDenied: not allowed"),
        ([BROKEN, SourceRecovered("orders")], "No records processed"),
        ([WORKED, BROKEN, READ], "OK"),
        ([WORKED, BROKEN, Polled("orders", 0, 0.0)], "OK"),
        ([FAILED, BROKEN], "PROBLEM: AccessDenied: not allowed"),
        ([BROKEN, WORKED], "PROBLEM: AccessDenied: not allowed"),
        ([FAILED, BROKEN, READ], "PROBLEM: Function call failed"),
        ([Crashed("orders", ValueError("oops"), 1.0)], "PROBLEM: Internal error: ValueError: oops"),
        ([Crashed("orders", ValueError("oops"), 1.0), READ], "No records processed"),
        ([FAILED, EMPTY], "OK"),
        ([FAILED, QueueDepth("orders", 0, 1)], "PROBLEM: Function call failed"),
        ([FAILED, QueueDepth("orders", None, None)], "PROBLEM: Function call failed"),
        ([REFUSED, EMPTY], "No records processed"),
        ([BROKEN, EMPTY], "PROBLEM: AccessDenied: not allowed"),
    ],
)
def test_the_result_follows_what_happened(board: StatusBoard, told: list[Happening], result: str) -> None:
    assert after(board, State("orders", MappingState.ENABLED), *told) == result
    assert (seen(board).blame is not None) == result.startswith("PROBLEM")


def test_states_have_a_since_and_begin_at_creating(board: StatusBoard, clock: Clock) -> None:
    board.tell(READ)
    assert (seen(board).state, seen(board).state_since) == ("Creating", 1_000.0)
    for state in (MappingState.ENABLED, MappingState.ENABLED, MappingState.DISABLING, MappingState.DISABLED):
        clock.now += 10
        board.tell(State("orders", state))
    assert (seen(board).state, seen(board).state_since) == ("Disabled", 1_040.0)


def test_a_result_is_as_old_as_its_kind_not_as_its_wording(board: StatusBoard, clock: Clock) -> None:
    def since(told: Happening) -> float:
        clock.now += 10
        board.tell(told)
        return seen(board).result_since

    assert since(READ) == 1_010
    assert since(WORKED) == 1_020
    assert since(WORKED) == 1_020
    assert since(REFUSED) == 1_040
    assert since(call(Outcome.UNREACHABLE, why="no route")) == 1_040
    assert seen(board).last_processing_result.endswith("no route")
    assert since(FAILED) == 1_060
    assert since(WORKED) == 1_070


def test_records_are_counted_once_for_each_thing_that_happens_to_them(board: StatusBoard) -> None:
    after(
        board,
        READ,
        call(Outcome.PARTIAL, failed=3),
        REFUSED,
        FAILED,
        Deleted("orders", "b1", 6, ["lost-receipt"]),
        Released("orders", 4, "stopping"),
        Filtered("orders", 5, []),
        Filtered("orders", 2, ["m"]),
    )
    counts = seen(board).counts
    assert (counts.polled, counts.invoked, counts.failed_invoke) == (10, 30, 3 + 10 + 10)
    assert (counts.deleted, counts.undeleted, counts.released, counts.filtered) == (6, 1, 4, 7)
    assert counts.invocations == {outcome.value: 0 for outcome in Outcome} | {
        "partial": 1,
        "unreachable": 1,
        "function_error": 1,
    }


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (FAILED, "Function call failed: KeyError"),
        (call(Outcome.PARTIAL, failed=1, why="unknown id"), "Some records failed: unknown id"),
        (REFUSED, "Target unreachable: connection refused"),
        (BROKEN, "AccessDenied: not allowed"),
        (Rejection("orders", "m-1", "above 6 MB"), "Record m-1 cannot be sent: above 6 MB"),
        (Extended("orders", 8, 1, 2), "Visibility not extended: 1 records lost, 2 unanswered"),
        (Filtered("orders", 2, ["m"]), "1 filtered records could not be deleted and will be filtered again"),
        (Unfilterable("orders", "m-1", "KeyError"), "Record m-1 could not be filtered: KeyError"),
        (Deleted("orders", "b", 0, ["m"]), "1 records could not be deleted and will be delivered again"),
        (LetGo("orders", "b", 7), "7 records were refused for too long and are left to their queue"),
        (Abandoned("orders", ["m"]), "Stopped while 1 records were held"),
        (Crashed("orders", ValueError("oops"), 1.0), "Internal error: ValueError: oops"),
    ],
)
def test_the_last_error_stays_when_it_is_over(board: StatusBoard, told: Happening, text: str) -> None:
    after(board, told, WORKED, READ, EMPTY)
    error = seen(board).last_error
    assert error is not None
    assert (error.text, error.at) == (text, 1_000.0)
    assert after(board, WORKED) == "OK"


@pytest.mark.parametrize(
    "told",
    [
        WORKED,
        READ,
        EMPTY,
        Paused("orders", "b", 10, 1.0),
        Deleted("orders", "b", 10, ()),
        Extended("orders", 10, 0, 0),
        State("orders", MappingState.DISABLED),
    ],
)
def test_what_goes_well_is_no_error(board: StatusBoard, told: Happening) -> None:
    board.tell(told)
    assert seen(board).last_error is None


def test_pages_of_error_text_are_cut(board: StatusBoard) -> None:
    after(board, call(Outcome.MISCONFIGURED, why="x" * 10_000))
    error = seen(board).last_error
    assert error is not None
    assert len(error.text) == 500
    assert len(seen(board).last_processing_result) < 520


def test_live_figures_are_asked_for_when_somebody_looks(board: StatusBoard) -> None:
    figures: Iterator[Live] = iter([Live(concurrency=1), Live(concurrency=2)])
    board.attach("orders", lambda: next(figures))
    assert [view.live and view.live.concurrency for view in (seen(board), seen(board))] == [1, 2]
    board.detach("orders")
    assert seen(board).live is None
    board.detach("unheard-of")
    assert board.mapping("unheard-of") is None


def test_the_oldest_grows_only_while_something_is_held(board: StatusBoard, clock: Clock) -> None:
    assert after(board, Polled("orders", 3, 2.0)) == "No records processed"
    board.attach("orders", Live)
    clock.now += 30
    assert seen(board).depth.oldest == 2.0
    board.attach("orders", lambda: Live(concurrency=1))
    assert seen(board).depth.oldest == 32.0
    board.attach("orders", lambda: Live(gathered=1))
    assert seen(board).depth.oldest == 32.0
    board.tell(Polled("orders", 0, 0.0))
    assert seen(board).depth.oldest == 0.0


def test_what_the_queue_said_is_forgotten_with_the_lane(board: StatusBoard) -> None:
    board.attach("orders", Live)
    after(board, READ, QueueDepth("orders", 7, 3))
    assert (seen(board).depth.visible, seen(board).depth.in_flight) == (7, 3)
    board.detach("orders")
    depth = seen(board).depth
    assert (depth.visible, depth.in_flight, depth.oldest) == (None, None, None)


def test_mappings_do_not_touch_each_other_and_one_can_go(board: StatusBoard) -> None:
    after(board, FAILED)
    board.tell(State("mails", MappingState.ENABLED))
    assert {name: view.blame for name, view in board.mappings().items()} == {
        "orders": Blame.FUNCTION,
        "mails": None,
    }
    board.tell(State("orders", MappingState.DELETED))
    assert set(board.mappings()) == {"mails"}
    board.tell(State("never-there", MappingState.DELETED))
    assert set(board.mappings()) == {"mails"}


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.FUNCTION_ERROR])
def test_what_a_reply_tells_of_itself_can_be_shown_whatever_it_is(board: StatusBoard, outcome: Outcome) -> None:
    """A header of no UTF-8 must not end the status of all mappings, nor a long one fill it."""
    meta = {"request_id": "\udcff", "error_type": "\ud800", "executed_version": "x" * 100_000}
    board.tell(structs.replace(call(outcome), meta=meta))
    document = json.loads(msgspec.json.encode(status_document("1", 1.0, board.mappings())))
    told = document["mappings"]["orders"]["last_reply"]
    assert told == {"request_id": r"\udcff", "error_type": r"\ud800", "executed_version": "x" * 4096}
    error = document["mappings"]["orders"]["last_error"]
    assert error is None or told.items() <= error.items()
