"""Records and terms for tests of the core, with only what a test is about spelt out."""

from collections.abc import Iterable

from hypothesis import Phase, settings

from esm.model import Record, Terms

PATIENT = settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink))
"""For every property: how long one example takes says more of the machine than of the code."""

TERMS = Terms(visibility=30.0, longest=43_200.0, retention=345_600.0)


def record(  # noqa: PLR0913 -- a record has that many fields
    seq: int,
    key: str | None = None,
    *,
    id_: str | None = None,
    event: bytes = b"{}",
    read: float = 0.0,
    arrived: float = 0.0,
    handle: str = "receipt",
) -> Record:
    return Record(
        seq=seq,
        id=f"m{seq}" if id_ is None else id_,
        key=key,
        arrived=arrived,
        read=read,
        event=event,
        handle=handle,
    )


def of_size(seq: int, size: int, key: str | None = None) -> Record:
    """A record that takes `size` bytes in a payload, its separator included."""
    return record(seq, key, event=b"x" * (size - 1), read=float(seq))


def ids(records: Iterable[Record]) -> list[str]:
    return [each.id for each in records]
