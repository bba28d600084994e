"""What is told of a source: that it cannot be used, why and for how long, and once that it can again.

Of a whole mapping by `SourceHealth`, of the reads of one lane by `ReadHealth`.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

from esm.core.backoff import Backoff, Failures
from esm.errors import Awaited, Disconnected, StoreFailed
from esm.runtime.happenings import Crashed, SourceFailed, SourceRecovered
from esm.runtime.world import World

_PASSING = Backoff(base=1.0, cap=60.0)
_LASTING = Backoff(base=5.0, cap=300.0)
_AWAITED = Backoff(base=1.0, cap=5.0)


@dataclass(slots=True)
class SourceHealth:
    """Over all lanes of `mapping`."""

    mapping: str
    world: World
    _broken: bool = field(default=False, init=False)

    @property
    def is_broken(self) -> bool:
        """It could not be used, and has not answered since."""
        return self._broken

    def report(self, _lane: Hashable, error: BaseException, pause: float) -> None:
        """It is tried again after `pause` seconds. What is no fault of the source is told as a crash."""
        match error:
            case Disconnected():
                self._failed(error.code, error.reason, pause)
            case StoreFailed():
                self._failed("StoreFailed", str(error), pause)
            case _:
                self.world.tell(Crashed(self.mapping, error, pause))

    def well_again(self) -> None:
        """It answers."""
        if self._broken:
            self._broken = False
            self.world.tell(SourceRecovered(self.mapping))

    def _failed(self, code: str, reason: str, pause: float) -> None:
        self._broken = True
        self.world.tell(SourceFailed(self.mapping, code, reason, pause))


@dataclass(slots=True)
class ReadHealth:
    """Of one lane of `mapping`."""

    mapping: str
    world: World
    _failures: Failures = field(default_factory=Failures, init=False)

    def failed(self, problem: Disconnected) -> float:
        """Seconds before it is read again: what only a person can mend is asked less often."""
        backoff = _AWAITED if isinstance(problem, Awaited) else _LASTING if problem.lasting else _PASSING
        pause = self._failures.another(backoff, self.world.chance())
        self.world.tell(SourceFailed(self.mapping, problem.code, problem.reason, pause))
        return pause

    def succeeded(self) -> None:
        """A read came back."""
        if self._failures.in_a_row:
            self._failures.over()
            self.world.tell(SourceRecovered(self.mapping))
