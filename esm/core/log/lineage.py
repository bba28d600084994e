"""Which lanes of a log may run now: parents to their end, and that written down, before their children begin.

A closed lane is not a finished one: it is read like any other, and over when its row says so. A parent that the
source no longer lists has expired with all it held, so nobody waits for it; unless it is still being worked off
here, from what was read before.
"""

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct

from esm.checkpoint import LaneRow
from esm.model import Lane

EVERY_LANE = "*"
"""The row of a scope itself, which says where its lanes begin."""

ENOUGH_LOOKS = 3
"""Looks in a row that must find a row expired before it is forgotten: a listing may leave a lane out by mistake,
and without its row a lane that is listed again is read from its beginning.
"""


class Sightings(Struct, frozen=True):
    """The lanes of a source as far as we have seen: those it `listed` last, and those `announced` by parents that
    ended, which the next listing may not have yet. `missed` are those that one listing lacked.
    """

    listed: Mapping[str, Lane] = {}
    announced: Mapping[str, Lane] = {}
    missed: AbstractSet[str] = frozenset()

    def listing(self, lanes: Iterable[Lane]) -> "Sightings":
        """After a new listing: what was announced is in it, or in the next one, or has expired already.

        One that was under way when a lane was announced may lack it; to take it for gone by that, while the source
        does not know it everywhere yet, would lose all that is in it.
        """
        listed = {lane.name: lane for lane in lanes}
        left = {
            name: lane for name, lane in self.announced.items() if name not in listed and name not in self.missed
        }
        return Sightings(listed, left, left.keys())

    def children(self, lanes: Iterable[Lane]) -> "Sightings":
        """After a lane ended that said who goes on."""
        new = {lane.name: lane for lane in lanes if lane.name not in self.listed}
        return Sightings(self.listed, {**self.announced, **new}, self.missed - new.keys())

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """All that are there."""
        return {**self.announced, **self.listed}


def runnable(sightings: Sightings, running: Mapping[str, Lane], ended: AbstractSet[str]) -> dict[str, Lane]:
    """The lanes to run now; `ended` are those whose rows say so.

    What runs goes on as it is until it has ended by itself, listed or not.
    """
    known = {**sightings.lanes, **running}
    return {
        name: lane
        for name, lane in known.items()
        if name not in ended and (name in running or not _waits(lane, sightings, known, ended))
    }


def _waits(lane: Lane, sightings: Sightings, known: Mapping[str, Lane], ended: AbstractSet[str]) -> bool:
    """Whether a parent has to come first.

    A parent that is not listed has expired; but if its child is not listed either, it may just not be listed yet:
    one parent of a merge announces the child when the listing knows nothing of the other.
    """
    left = [parent for parent in lane.parents if parent not in ended]
    return any(parent in known or lane.name not in sightings.listed for parent in left)


def expired(rows: Collection[LaneRow], lanes: Mapping[str, Lane]) -> list[LaneRow]:
    """Rows of lanes that are over, no longer listed, and whose children have begun: nobody asks for them again.

    While the source lists nothing at all it is not to be believed.
    """
    begun = {row.lane for row in rows if _has_begun(row)}
    return [
        row
        for row in rows
        if lanes
        and has_ended(row)
        and row.lane not in lanes
        and all(name in begun for name, lane in lanes.items() if row.lane in lane.parents)
    ]


def looked_at(found: Iterable[LaneRow], before: Mapping[str, int]) -> dict[str, int]:
    """By lane, how many looks in a row have found its row expired, this one included; `before` has the last."""
    return {row.lane: before.get(row.lane, 0) + 1 for row in found}


def replaced(rows: Iterable[LaneRow], lanes: Mapping[str, Lane]) -> list[LaneRow]:
    """Rows of lanes that are over and whose names others have by now: those begin behind the end of theirs.

    A stream that was deleted and made anew under its name counts its shards from the beginning again.
    """
    return [row for row in rows if has_ended(row) and row.lane in lanes and _is_another(lanes[row.lane], row)]


def _is_another(lane: Lane, row: LaneRow) -> bool:
    at = None if row.checkpoint is None else row.checkpoint.at
    return at is not None and lane.first is not None and at < lane.first


def has_ended(row: LaneRow) -> bool:
    """All of the lane is finished, and written down."""
    return row.checkpoint is not None and row.checkpoint.ended


def _has_begun(row: LaneRow) -> bool:
    return row.checkpoint is not None and (row.checkpoint.ended or row.checkpoint.at is not None)
