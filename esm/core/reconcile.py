"""What to stop and what to start so that what runs equals what is wanted."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

from msgspec import Struct

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Change(Struct, frozen=True):
    """Keys to stop and keys to start; a key whose value changed is in both."""

    stop: frozenset[Hashable]
    start: frozenset[Hashable]


def difference(running: Mapping[K, V], wanted: Mapping[K, V]) -> Change:
    """The change that turns `running` into `wanted`."""
    kept = {key for key in running.keys() & wanted.keys() if running[key] == wanted[key]}
    return Change(stop=frozenset(running.keys() - kept), start=frozenset(wanted.keys() - kept))
