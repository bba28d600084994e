"""The runtime target: an invocation waits for its turn, then for its answer, each for a time."""

import asyncio
import errno
import os
import random
import re
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from esm.model import Finding, Invocation, Outcome, Refused, Reply
from esm.plugins import TargetContext
from esm.targets.local_function import Identity
from esm.targets.runtime.api import RuntimeApi, serve
from esm.targets.runtime.crew import Crew, program_of, working
from esm.targets.runtime.desk import Desk, Errand, Place
from esm.targets.runtime.options import RuntimeOptions
from esm.targets.runtime.replies import meta, timed_out
from esm.targets.runtime.visitors import Visitors

_LOOK_AGAIN = 0.5
_LONGEST_START = 10.0  # what Lambda gives an initialization, which is no part of the function's time
_LONGEST_CHECK = 10.0
_REGION = "us-east-1"


class RuntimeTarget:
    """Implements `Target` and `Checkable`. `timeout` in seconds, from when a worker has the event.

    `crew` are the workers of the engine's own, `visitors` those from outside; one of both may be missing.
    """

    def __init__(self, desk: Desk, crew: Crew | None, visitors: Visitors | None, timeout: float) -> None:
        self._desk = desk
        self._crew = crew
        self._visitors = visitors
        self._timeout = timeout
        self._patience = timeout + _LONGEST_START

    async def invoke(self, call: Invocation) -> Reply:
        errand = self._desk.submit(call.payload)
        try:
            return await self._turn(errand) or await self._answer(errand)
        except asyncio.CancelledError:
            if errand.place is not None and not errand.ending.done():
                errand.place.abandon()
            raise
        finally:
            self._desk.drop(errand)

    async def check(self) -> Sequence[Finding]:
        """Whether the function starts. Nothing is known yet of workers from outside."""
        if self._crew is None:
            return []
        deadline = _now() + _LONGEST_CHECK
        while not (self._crew.ready or self._crew.trouble):
            if _now() > deadline:
                text = f"the function has not asked for an invocation within {_LONGEST_CHECK:g} s"
                return [Finding(broken=False, text=text)]
            await asyncio.sleep(0.05)
        return [Finding(broken=True, text=_not_started(self._crew))] if self._crew.trouble else []

    async def _turn(self, errand: Errand) -> Refused | None:
        """Waits until a worker has it; a refusal as soon as none is to be expected.

        Or when every worker had time enough to become free, be it by a timeout and a new start.
        """
        deadline = _now() + self._patience
        while not errand.taken.done():
            left = deadline - _now()
            refusal = self._absence() or (None if left > 0 else self._busy())
            if refusal is not None:
                return refusal
            await asyncio.wait([errand.taken], timeout=min(left, _LOOK_AGAIN))
        return None

    async def _answer(self, errand: Errand) -> Reply:
        place = errand.place
        await asyncio.wait([errand.ending], timeout=self._timeout)
        if errand.ending.done() or place is None:
            return errand.ending.result()
        reply = timed_out(self._timeout, meta(errand.id, place.tail()))
        place.abandon()
        return reply

    def _absence(self) -> Refused | None:
        if self._desk.waiting or (self._visitors and self._visitors.around(self._desk.out(self._visitors))):
            return None
        if self._crew is None:
            return Refused(Outcome.UNREACHABLE, f"no worker is attached: {self._visitors}")
        return Refused(Outcome.MISCONFIGURED, _not_started(self._crew)) if self._crew.trouble else None

    def _busy(self) -> Refused:
        if self._crew is not None and not self._crew.ready:
            return Refused(Outcome.UNREACHABLE, f"no worker was up within {self._patience:g} s")
        return Refused(Outcome.THROTTLED, f"all workers were busy for {self._patience:g} s")


def _not_started(crew: Crew) -> str:
    return f"the function cannot be started: {crew.trouble}"


def _now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def open_runtime(
    options: RuntimeOptions,
    context: TargetContext,
    *,
    wall: Callable[[], float] = time.time,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    chance: Callable[[], float] = random.random,
) -> AsyncIterator[RuntimeTarget]:
    """Starts listening and starts the workers, and waits for none.

    Raises ValueError if the address is taken, or the program of `command` is not there. `new_id` gives request
    ids that look like AWS's; `wall` epoch seconds.
    """
    desk = Desk(new_id)
    identity = Identity(options.function_name or _as_function(context.name), context.aws.get("region") or _REGION)

    def api_of(place: Place, secret: str = "") -> RuntimeApi:
        return RuntimeApi(desk, place, identity.arn, options.timeout, secret=secret, wall=wall)

    async with AsyncExitStack() as opened:
        visitors = crew = None
        if options.address is not None:
            secret = options.secret.get_secret_value() if options.secret else ""
            listener = _listening(*options.address)
            visitors = Visitors(listener.getsockname()[:2], secret=bool(secret), monotonic=time.monotonic)
            await opened.enter_async_context(serve(api_of(visitors, secret), listener))
        opened.callback(desk.close)
        if options.command is not None:
            program = program_of(options, identity)
            crew = await opened.enter_async_context(
                working(context.name, options.workers, program, desk, api_of=api_of, chance=chance)
            )
        yield RuntimeTarget(desk, crew, visitors, options.timeout)


def _as_function(target: str) -> str:
    """Functions are called so that their name fits an ARN; targets may have dots, and slashes if inline."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", target)[:64]


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        who = ", perhaps by an engine that runs" if error.errno == errno.EADDRINUSE else ""
        reason = os.strerror(error.errno) if error.errno else error
        raise ValueError(f"listen: cannot listen on {host}:{port}: {reason}{who}") from error
