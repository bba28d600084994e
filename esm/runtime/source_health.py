"""What a mapping tells of its source: that it cannot be used, why and for how long, and once that it can again."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from esm.errors import Disconnected, StoreFailed
from esm.runtime.happenings import Crashed, SourceFailed, SourceRecovered
from esm.runtime.world import World


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
