"""Where reading begins at a time (docs/decisions/0029). Pure."""

from collections.abc import Sequence
from itertools import takewhile


def second_of(start: float) -> int:
    """The second that a start (epoch seconds) lies in: records know no finer time, and none may be missed."""
    return int(start // 1)


def count_before(created: Sequence[int], start: float) -> int:
    """How many of the first records were created before a start; `created` are their times in whole seconds.

    What follows the first that was not is never skipped: times are approximate, and order is what counts.
    """
    first = second_of(start)
    return sum(1 for _ in takewhile(lambda time: time < first, created))
