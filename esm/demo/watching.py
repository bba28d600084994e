"""When there is nothing left to wait for, although something is missing."""

import time
from collections.abc import Mapping
from typing import Any

_STILL_SECONDS = 5.0
_HELD = ("behind_seconds", "gathered", "pending_batches", "in_flight")


class Stillness:
    """Notices that a stream has records to account for, but nothing moves, and the engine has none in its hands.

    Then the function forgot one or the engine lost it. This ends the waiting and nothing else: the account does
    not ask the engine.
    """

    def __init__(self) -> None:
        self._left: Mapping[str, int] = {}
        self._since = time.monotonic()

    def lasts(self, left: Mapping[str, int], mappings: Mapping[str, Any]) -> bool:
        """`left` as in `Stage.left`, `mappings` as in `/status`."""
        at_rest = all(_rests(mappings.get(name, {})) for name, number in left.items() if number)
        if left != self._left or not at_rest:
            self._left, self._since = left, time.monotonic()
        return time.monotonic() - self._since >= _STILL_SECONDS


def _rests(mapping: Mapping[str, Any]) -> bool:
    """A queue has no lanes, and says itself when it is empty."""
    lanes = mapping.get("lanes", {}).values()
    return bool(lanes) and not any(lane[figure] for lane in lanes for figure in _HELD)
