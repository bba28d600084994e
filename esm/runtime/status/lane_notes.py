"""What the board remembers of a mapping's lanes, and how each of them fares.

Figures of a lane are asked for when somebody looks; remembered is only what they cannot tell: why a lane stands
still, and that it is not ours at the moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.values import LaneState, LaneStatus, Live


@dataclass(slots=True)
class LaneNotes:
    """One mapping's. `stalled` says why, by lane; `of_a_log`: it has had lanes, which a queue has not."""

    stalled: dict[str, str] = field(default_factory=dict, init=False)
    of_a_log: bool = field(default=False, init=False)
    _lost: dict[str, None] = field(default_factory=dict, init=False)

    def stalls(self, lane: str, why: str) -> None:
        """It cannot go on."""
        self.stalled[lane] = why

    def is_lost(self, lane: str) -> None:
        """Somebody else writes its row; it does not run here until it is taken again."""
        self.stalled.pop(lane, None)
        self._lost[lane] = None

    def is_over(self, lane: str) -> None:
        """Whatever it was: the lane goes on, begins anew or is not there any more."""
        self.of_a_log = True
        self.stalled.pop(lane, None)
        self._lost.pop(lane, None)

    def statuses(self, live: Live | None) -> Mapping[str, LaneStatus]:
        """Each lane by name; may be called in another thread."""
        lost = {name: LaneStatus(LaneState.LOST, LaneFigures()) for name in tuple(self._lost)}
        running = live.lanes if live is not None else {}
        return lost | {name: LaneStatus(_state(seen), seen) for name, seen in running.items()}


def _state(seen: LaneFigures) -> LaneState:
    if not seen.is_open:
        return LaneState.OPENING
    if seen.stalled:
        return LaneState.STALLED
    if seen.crowded:
        return LaneState.CROWDED
    return LaneState.RETRYING if seen.attempts else LaneState.READING
