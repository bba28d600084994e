"""What has been read and not yet sent, in the order it must be sent.

Two honest kinds. A `FlatBuffer` keeps no order beyond first come, first served. A `KeyedBuffer` keeps the
order of each key: a batch locks the keys it takes, and records of a locked key wait until their owner unlocks
it. Both hand out the oldest first and count what is ready, so that triggers need no scan.
"""

from esm.core.buffers.contract import Buffer
from esm.core.buffers.fitting import size
from esm.core.buffers.flat import FlatBuffer
from esm.core.buffers.keyed import GROUPS, KEYS, ONE_KEY, KeyedBuffer, KeyRule

__all__ = ["GROUPS", "KEYS", "ONE_KEY", "Buffer", "FlatBuffer", "KeyRule", "KeyedBuffer", "size"]
