"""One mapping's way to its target: a slot, the call, and what the answer means for whoever shares the target.

What it means for the records is for the discipline to judge, which hands in how.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

from esm.core.breaker import REFUSALS
from esm.core.invocation import invocation
from esm.model import Errored, Invocation, Outcome, Record, Reply
from esm.ports import Codec
from esm.runtime.calling.shared import SharedTarget
from esm.runtime.happenings import CircuitClosed, CircuitOpened, Invoked
from esm.runtime.signals import Stop
from esm.runtime.world import World


class Judged(Protocol):
    """What an answer meant, whichever discipline judged it; `retry_after` in seconds."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def done(self) -> Sequence[Record]: ...
    @property
    def retry_after(self) -> float | None: ...
    @property
    def why(self) -> str: ...


V = TypeVar("V", bound=Judged)


@dataclass(frozen=True, slots=True)
class Caller:
    """Over all lanes of `mapping`."""

    mapping: str
    shared: SharedTarget
    codec: Codec
    world: World

    @property
    def is_closed(self) -> bool:
        """The target is not to be called at all."""
        return self.shared.closed

    @property
    def circuit_open(self) -> bool:
        """The target is left alone but for probes."""
        return self.shared.circuit.is_open()

    @property
    def shut_for(self) -> float | None:
        """Seconds until the target may be called although no call ends; None if time alone changes nothing."""
        return self.shared.circuit.shut_for or None

    def when_closed(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` each time the target's circuit closes; returns how to withdraw it."""
        return self.shared.circuit.when_closed(listener)

    async def slot(self, stop: Stop, within: float | None) -> ExitStack | None:
        """A slot of the target, given back when it is closed; None if the stop or `within` seconds came first."""
        return await self.shared.acquire(self.mapping, stop, within)

    async def call(self, batch_id: str, attempt: int, records: Sequence[Record], judge: Callable[[Reply], V]) -> V:
        """Sends `records` and has the answer judged; to be used with a slot, which is never held over a pause."""
        started, now = self.world.monotonic(), self.world.wall()
        ages = [age if (age := now - record.arrived) > 0.0 else 0.0 for record in records]
        reply = await self._invoke(
            invocation(records, self.codec, mapping=self.mapping, batch_id=batch_id, attempt=attempt)
        )
        verdict = judge(reply)
        refused = verdict.outcome in REFUSALS
        if refused:
            self._not_reached(verdict)
        else:
            self._reached()
        self.world.tell(
            Invoked(
                self.mapping,
                batch_id=batch_id,
                attempt=attempt,
                records=len(records),
                failed=0 if refused else len(records) - len(verdict.done),
                outcome=verdict.outcome,
                ages=ages,
                duration=self.world.monotonic() - started,
                why=verdict.why,
                meta=reply.meta,
            )
        )
        return verdict

    async def _invoke(self, call: Invocation) -> Reply:
        try:
            return await self.shared.target.invoke(call)
        except Exception as error:  # noqa: BLE001 -- a target that breaks its contract must not break the lane
            return Errored(Outcome.FUNCTION_ERROR, f"the target raised {type(error).__name__}: {error}")

    def _reached(self) -> None:
        circuit = self.shared.circuit
        if circuit.is_open():
            self.world.tell(CircuitClosed(self.mapping, self.shared.name, circuit.open_for))
        circuit.reached()

    def _not_reached(self, verdict: Judged) -> None:
        circuit = self.shared.circuit
        if circuit.refused(verdict.outcome, verdict.retry_after):
            self.world.tell(
                CircuitOpened(self.mapping, self.shared.name, circuit.refusals, circuit.shut_for, verdict.why)
            )
