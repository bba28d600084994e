"""One worker that the engine keeps running: a process after the other, each watched from its start to its end.

It attaches at a port of its own, so the engine knows whose invocation is lost when it dies. The clock of a
process runs while it is expected to do something: to ask for its first invocation, or to end.
"""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import Callable

from esm.core.backoff import Backoff
from esm.targets.local_function import ended
from esm.targets.runtime.desk import Desk
from esm.targets.runtime.output import Output
from esm.targets.runtime.process import Keeper, Program, signal_group, spawn
from esm.targets.runtime.replies import failed, meta
from esm.targets.thrown import short

LONGEST_START = 60.0
_LONGEST_GOODBYE = 2.0
_RESTARTS = Backoff(base=0.5, cap=30.0)


class Worker:
    """Implements `Place`. `trouble` says why it is not up, empty if it is or is expected to be.

    `say` is told what it prints, `chance` gives a number in [0, 1).
    """

    def __init__(
        self,
        program: Program,
        desk: Desk,
        *,
        say: Callable[[str], None],
        chance: Callable[[], float],
    ) -> None:
        self.ready = False
        self.trouble = ""
        self._program = program
        self._desk = desk
        self._say = say
        self._chance = chance
        self._process: Process | None = None
        self._output: Output | None = None
        self._clock: asyncio.Timeout | None = None
        self._blameless = True
        self._failures = 0
        self._stopping = asyncio.Event()

    def attached(self) -> None:
        self.ready = True
        self.trouble = ""
        self._give(None)
        if self._output is not None:
            self._output.forget()

    def answered(self) -> None:
        self._blameless = True

    def broken(self, why: str) -> None:
        self.trouble = why
        self._give(_LONGEST_GOODBYE)

    def stranger(self) -> None:
        """Nobody is told of this port but the worker itself."""

    def abandon(self) -> None:
        """Lambda too ends what took too long, with all it started."""
        self._blameless = True
        if self._process is not None:
            signal_group(self._process, signal.SIGKILL)

    def tail(self) -> str:
        return "" if self._output is None else self._output.tail()

    def stop(self) -> None:
        """Asks it to end, and for no further one; after 2 s it is killed."""
        self._stopping.set()
        if self._process is not None:
            signal_group(self._process, signal.SIGTERM)
            self._end_within(_LONGEST_GOODBYE)

    async def run(self, keeper: Keeper) -> None:
        """Until it is stopped: one process after the other, with a growing pause after each that did nothing."""
        while not self._stopping.is_set():
            await self._live(keeper)
            if self._blameless:
                self._failures = 0
                continue
            self._failures += 1
            await self._rest(_RESTARTS.pause(self._failures, self._chance()))

    async def _rest(self, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _live(self, keeper: Keeper) -> None:
        self.ready = self._blameless = False
        self._output = Output(self._say)
        try:
            self._process = await spawn(self._program, self._output)
        except OSError as error:
            self._output.close()
            self.trouble = f"cannot start {self._program.argv[0]}: {error.strerror or error}"
            return
        group = self._process.pid
        keeper.note("+", group)
        try:
            code = await self._watch(self._process)
        finally:
            signal_group(self._process, signal.SIGKILL)  # whatever it started, and itself if nobody watches
            keeper.note("-", group)
            self._process = None
            self._output.close()
        self._bury(code)

    async def _watch(self, process: Process) -> int:
        try:
            async with asyncio.timeout(LONGEST_START) as self._clock:
                if self._stopping.is_set():
                    self.stop()
                return await process.wait()
        except TimeoutError:
            self.trouble = self.trouble or f"it did not ask for its first invocation within {LONGEST_START:g} s"
            signal_group(process, signal.SIGKILL)
            return await process.wait()
        finally:
            self._clock = None

    def _bury(self, code: int) -> None:
        how, tail = ended(code), self.tail()
        if not self.ready:
            last = tail.strip().rpartition("\n")[2]
            self.trouble = self.trouble or short(f"{how} before its first invocation{': ' if last else ''}{last}")
        self.ready = False
        self._desk.send_away(self)
        self._desk.lose(self, lambda request_id: failed("Runtime.ExitError", how, meta(request_id, tail)))

    def _give(self, seconds: float | None) -> None:
        """A new time limit, None for no limit; whoever says something on its way out gets no longer for that."""
        if not self._stopping.is_set():
            self._end_within(seconds)

    def _end_within(self, seconds: float | None) -> None:
        if self._clock is not None and not self._clock.expired():
            loop = asyncio.get_running_loop()
            self._clock.reschedule(None if seconds is None else loop.time() + seconds)
