"""The scripted target on virtual time."""

import asyncio

from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned
from esm.testing.loop import VirtualTimeLoop
from esm.testing.target import ScriptedTarget, Turn, in_turn

CALL = Invocation(b"{}", "m", "b", 1, "k")


def test_it_answers_in_turn_notes_calls_and_times_out() -> None:
    refused = Refused(Outcome.THROTTLED, "busy", 3.0)
    target = ScriptedTarget(
        in_turn([Turn(refused), Turn(Returned(b"1"), after=2.0), Turn(Returned(b""), after=99)])
    )

    async def run() -> tuple[list[Reply], float]:
        replies = [await target.invoke(CALL) for _ in range(4)]
        await asyncio.gather(target.invoke(CALL), target.invoke(CALL))
        return replies, asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        replies, ended = runner.run(run())
    late = Errored(Outcome.TIMEOUT, "no answer within 30 s")
    assert replies == [refused, Returned(b"1"), late, Returned(b"null")]
    assert ended == 32.0
    assert target.calls == [CALL] * 6
    assert (target.running, target.busiest) == (0, 2)
