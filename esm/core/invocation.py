"""A batch as one call of a target."""

import hashlib
from collections.abc import Sequence

from esm.model import Invocation, Record
from esm.ports import Codec


def invocation(
    records: Sequence[Record], codec: Codec, *, mapping: str, batch_id: str, attempt: int
) -> Invocation:
    """The call that delivers `records`, in the given order; `attempt` counts from 1."""
    return Invocation(codec.render(records), mapping, batch_id, attempt, _key_of(records))


def _key_of(records: Sequence[Record]) -> str:
    """The same for the same records, in whatever order, and however often they come (docs/decisions: 14)."""
    ids = "".join([f"{record_id}\0" for record_id in sorted([record.id for record in records])])
    return hashlib.blake2b(ids.encode(), digest_size=16).hexdigest()
