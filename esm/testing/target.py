"""A target that answers from a script, on whatever clock its event loop has.

For simulations and for tests of what stands before a target: it notes every call, and how many ran at once.
"""

import asyncio
from collections.abc import Callable, Iterable

from msgspec import Struct

from esm.model import Errored, Invocation, Outcome, Reply, Returned


class Turn(Struct, frozen=True):
    """One reply, given `after` seconds."""

    reply: Reply
    after: float = 0.0


Script = Callable[[Invocation], Turn]

SUCCESS = Turn(Returned(b"null"))


def in_turn(turns: Iterable[Turn], then: Turn = SUCCESS) -> Script:
    """The turns one after another, whatever is called, and `then` for ever."""
    rest = iter(turns)
    return lambda _: next(rest, then)


class ScriptedTarget:
    """Implements `Target`. A turn that takes longer than `timeout` seconds is a timeout, as with any target.

    `calls` holds what was asked, in the order it began; `busiest` the most calls that ran at once.
    """

    def __init__(self, script: Script, timeout: float = 30.0) -> None:
        self.calls: list[Invocation] = []
        self.running = 0
        self.busiest = 0
        self._script = script
        self._timeout = timeout

    async def invoke(self, call: Invocation) -> Reply:
        self.calls.append(call)
        turn = self._script(call)
        self.running += 1
        self.busiest = max(self.busiest, self.running)
        try:
            await asyncio.sleep(min(turn.after, self._timeout))
        finally:
            self.running -= 1
        if turn.after > self._timeout:
            return Errored(Outcome.TIMEOUT, f"no answer within {self._timeout:g} s")
        return turn.reply
