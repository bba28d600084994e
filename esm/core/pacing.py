"""How soon a shard may be read again, so that all its readers together stay within what it gives.

Reads of one shard follow one another, so a read pays for itself: the next one may begin when its share of a second
and of the bytes is over. Over any span that is no more than the quota and one page.
"""

from msgspec import Struct

from esm.core.backoff import Backoff

_THROTTLED = Backoff(base=2.0, cap=16.0)
_MARGIN = 1.05


class Quota(Struct, frozen=True):
    """What a shard gives to all who read it together: reads and bytes of data, each per second."""

    reads: float
    size: float


def free_at(began: float, size: int, quota: Quota) -> float:
    """When the next read may begin after one that `began` then and brought `size` bytes.

    Reads are a little further apart than they need to be, since the service counts them when they arrive, and
    of two reads the later one may be quicker on its way.
    """
    return began + max(_MARGIN / quota.reads, size / quota.size)


def free_after_throttle(now: float, throttles: int, chance: float, quota: Quota) -> float:
    """When to try again after so many refusals in a row (from 1); others read the shard too, so wait for them.

    `chance` is uniform in [0, 1).
    """
    return now + max(_MARGIN / quota.reads, _THROTTLED.pause(throttles, chance))
