"""What every target must do, to be run against each of them, the scripted one included.

A test module makes a harness per target and runs each of `RULES` with it:

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    async def test_contract(rule): await rule(MyHarness())

The harness opens the target on a function that does what its event says: `{"do": "answer", "answer": …}`
answers so, `{"do": "raise", "text": …}` throws an error with that text, `{"do": "hang"}` never ends.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned
from esm.ports import Target

SHORT_TIMEOUT = 0.5
_ROOM_FOR_AN_ANSWER = 2.0  # a function that was ended may have to be started again before it can answer
_GENEROUS = 20.0


class Harness(Protocol):
    """How to get at one kind of target."""

    def obedient(self, timeout: float) -> AbstractAsyncContextManager[Target]:
        """The target, with this timeout (seconds), on a function that does what its event says.

        It must be able to run two calls at once.
        """

    def absent(self) -> AbstractAsyncContextManager[Target] | None:
        """The target with nothing behind it; None if such a target cannot even be opened."""


def call(attempt: int = 1, **event: Any) -> Invocation:
    """An invocation with this event."""
    return Invocation(json.dumps(event).encode(), "orders", f"batch-{attempt}", attempt, "0" * 64)


def require(condition: object, what: str, seen: object) -> None:
    if not condition:
        raise AssertionError(f"{what}; got {seen!r}")


async def an_answer_is_returned(harness: Harness) -> None:
    answer = {
        "batchItemFailures": [{"itemIdentifier": "id-1"}],
        "text": 'größer ✓ \\ " \u2028',
        "n": [1, 2.5, None],
    }
    async with harness.obedient(_GENEROUS) as target:
        _returned(await target.invoke(call(do="answer", answer=answer)), answer)


async def no_answer_is_returned_as_null(harness: Harness) -> None:
    async with harness.obedient(_GENEROUS) as target:
        _returned(await target.invoke(call(do="answer", answer=None)), None)


async def a_large_event_and_answer_pass(harness: Harness) -> None:
    answer = "ä" * 400_000
    async with harness.obedient(_GENEROUS) as target:
        _returned(await target.invoke(call(do="answer", answer=answer)), answer)


async def an_error_of_the_function_counts_and_names_itself(harness: Harness) -> None:
    async with harness.obedient(_GENEROUS) as target:
        reply = await target.invoke(call(do="raise", text="no such customer"))
    message = _errored(reply, Outcome.FUNCTION_ERROR)
    require("no such customer" in message, "its message is the function's", message)


async def a_message_stays_short_and_on_one_line(harness: Harness) -> None:
    async with harness.obedient(_GENEROUS) as target:
        reply = await target.invoke(call(do="raise", text="first\nsecond" + "x" * 5_000))
    message = _errored(reply, Outcome.FUNCTION_ERROR)
    require(len(message) < 500 and "\n" not in message, "a message fits a log line", message)


async def a_function_that_hangs_times_out(harness: Harness) -> None:
    async with harness.obedient(SHORT_TIMEOUT) as target:
        began = time.monotonic()
        reply = await target.invoke(call(do="hang"))
        took = time.monotonic() - began
    _errored(reply, Outcome.TIMEOUT)
    require(took < _GENEROUS, "and it ends", took)


async def it_goes_on_after_errors_and_timeouts(harness: Harness) -> None:
    async with harness.obedient(_ROOM_FOR_AN_ANSWER) as target:
        for _ in range(2):
            await target.invoke(call(do="raise", text="once"))
            await target.invoke(call(do="hang"))
            _returned(await target.invoke(call(do="answer", answer="well")), "well")


async def calls_at_once_do_not_mix(harness: Harness) -> None:
    async with harness.obedient(_GENEROUS) as target:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(target.invoke(call(do="answer", answer=n))) for n in range(20)]
        for n, task in enumerate(asked):
            _returned(task.result(), n)


async def one_that_hangs_does_not_stop_another(harness: Harness) -> None:
    async with harness.obedient(_ROOM_FOR_AN_ANSWER) as target, asyncio.TaskGroup() as group:
        stuck = group.create_task(target.invoke(call(do="hang")))
        _returned(await target.invoke(call(do="answer", answer="past")), "past")
        _errored(await stuck, Outcome.TIMEOUT)


async def a_cancelled_call_harms_no_other(harness: Harness) -> None:
    async with harness.obedient(_GENEROUS) as target:
        async with asyncio.TaskGroup() as group:
            abandoned = group.create_task(target.invoke(call(do="hang")))
            await target.invoke(call(do="answer", answer="by now the other has begun"))
            abandoned.cancel()
        require(abandoned.cancelled(), "a cancelled call ends cancelled", abandoned)
        _returned(await target.invoke(call(do="answer", answer="well")), "well")


async def nothing_there_is_neutral(harness: Harness) -> None:
    missing = harness.absent()
    if missing is None:
        return
    async with missing as target:
        reply = await target.invoke(call(do="answer", answer=1))
    refused = isinstance(reply, Refused) and reply.outcome is Outcome.UNREACHABLE
    require(refused, "what was not reached is Refused as UNREACHABLE", reply)


def _returned(reply: Reply, answer: Any) -> None:
    require(isinstance(reply, Returned), "an answer is Returned", reply)
    if isinstance(reply, Returned):
        require(json.loads(reply.payload or b"null") == answer, "with the function's answer", reply)


def _errored(reply: Reply, outcome: Outcome) -> str:
    require(isinstance(reply, Errored) and reply.outcome is outcome, f"this is Errored as {outcome}", reply)
    return reply.message if isinstance(reply, Errored) else ""


Rule = Callable[[Harness], Awaitable[None]]

RULES: Sequence[Rule] = (
    an_answer_is_returned,
    no_answer_is_returned_as_null,
    a_large_event_and_answer_pass,
    an_error_of_the_function_counts_and_names_itself,
    a_message_stays_short_and_on_one_line,
    a_function_that_hangs_times_out,
    it_goes_on_after_errors_and_timeouts,
    calls_at_once_do_not_mix,
    one_that_hangs_does_not_stop_another,
    a_cancelled_call_harms_no_other,
    nothing_there_is_neutral,
)
