"""Why a lane cannot go on, told when that begins and when it ends; it may have two reasons at once."""

from dataclasses import dataclass, field

from esm.runtime.lane_happenings import Stalled, Unstalled
from esm.runtime.world import World


@dataclass(slots=True)
class Stall:
    """One lane's."""

    mapping: str
    lane: str
    world: World
    _reasons: dict[str, str] = field(default_factory=dict, init=False)

    @property
    def why(self) -> str:
        """For people; empty if nothing keeps the lane."""
        return "; ".join(self._reasons.values())

    def begins(self, what: str, why: str) -> None:
        """`what` keeps the lane from now on."""
        if what not in self._reasons:
            self._reasons[what] = why
            self.world.tell(Stalled(self.mapping, self.lane, why))

    def ends(self, what: str) -> None:
        """`what` is well again."""
        if self._reasons.pop(what, None) is not None and not self._reasons:
            self.world.tell(Unstalled(self.mapping, self.lane))
