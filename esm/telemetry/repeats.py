"""Says the same thing at most once a minute, and then how often it was the case.

A target that is down fails every batch in the same way; a thousand equal lines hide the one that differs.
Pure apart from its memory: the moment is handed in.
"""

from collections import OrderedDict
from collections.abc import Hashable

_QUIET = 60.0
_REMEMBERED = 1_000


class Repeats:
    """Remembers what was said in the last minute, at most 1,000 different things."""

    def __init__(self) -> None:
        self._said: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def worth(self, what: Hashable, now: float) -> int | None:
        """None if `what` was said less than a minute ago, else how often it was held back since then."""
        said_at, held_back = self._said.get(what, (None, 0))
        if said_at is not None and now - said_at < _QUIET:
            self._said[what] = said_at, held_back + 1
            return None
        self._said[what] = now, 0
        self._said.move_to_end(what)
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        return held_back
