"""When two sightings of a row are of the same write: what every swap compares."""

from esm.checkpoint import LaneRow


def same(one: LaneRow | None, other: LaneRow | None) -> bool:
    """Whether nothing was written between them.

    The owner counts too: a row that was forgotten and made anew may have come to the same two numbers.
    """
    if one is None or other is None:
        return one is other
    return version(one) == version(other)


def version(row: LaneRow) -> tuple[int, int, str]:
    return row.epoch, row.counter, row.owner
