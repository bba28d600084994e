"""Whether a simulation sees a bug that was planted in the engine."""

from collections.abc import Callable, Coroutine
from typing import Any

from esm.testing import loop
from sim.history import Violation


def sees(play: Callable[[int], Coroutine[Any, Any, None]], seeds: int, *failures: type[Exception]) -> bool:
    """Whether a history of any seed ends in a violation, or in one of these `failures`."""
    wanted: tuple[type[BaseException], ...] = (Violation, *failures)
    for seed in range(seeds):
        try:
            loop.run(play(seed))
        except BaseExceptionGroup as group:
            if group.subgroup(Violation):
                return True
            raise
        except wanted:
            return True
    return False
