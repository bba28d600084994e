"""Which parts are written down where there is little room: beside a committed offset.

A part that has used up something of its retries needs a place before it is sent again. The oldest gets one first,
and keeps it; whoever finds none waits, so that no budget is ever left out (docs/decisions: 36). A place never
grows: it stays what it was when it was given, whatever of the part is finished meanwhile.
"""

from collections.abc import Iterable, Iterator

from msgspec import structs

from esm.checkpoint import Position
from esm.core.log.checkpoints import Run
from esm.core.log.packing import HEADROOM, part_size
from esm.core.log.parts import UNTRIED, Owner, Part


def give_places(owners: Iterable[Owner], room: int, at: Position | None) -> None:
    """Gives each that waits for one a place in `room` characters, as long as it fits; nobody overtakes the oldest.

    `at` is the lane's mark.
    """
    capacity = room - HEADROOM
    waiting: list[tuple[Position, Owner, int]] = []
    left = capacity
    for owner in owners:
        for index, part in enumerate(owner.parts):
            if part.cover:
                left -= part_size(part.cover, at)
            elif part.budget != UNTRIED and not part.too_large:
                waiting.append((part.records[0].position, owner, index))
    for _, owner, index in sorted(waiting, key=lambda each: each[0]):
        part = owner.parts[index]
        cover = _coarse(tuple(part.runs()), capacity, at)
        left -= part_size(cover, at)
        if left < 0:
            return
        owner.parts[index] = structs.replace(part, cover=cover)


def written(owners: Iterable[Owner], room: int, at: Position | None) -> list[Part]:
    """The parts that have their place, and of those that need none what fits beside them.

    Of an owner only what follows on that: what lies below a part of its keys and is in none counts as finished.
    """
    known = sorted((owner for owner in owners if owner.parts), key=lambda owner: owner.first.records[0].position)
    parts = [part for owner in known for part in owner.parts if part.cover]
    left = room - HEADROOM - sum(part_size(part.cover, at) for part in parts)
    for owner in (owner for owner in known if owner.known):
        for part in owner.parts:
            if part.cover:
                continue
            size = part_size(tuple(part.runs()), at)
            if part.budget != UNTRIED or part.too_large or size > left:
                break
            left -= size
            parts.append(part)
    return parts


def _coarse(cover: tuple[Run, ...], room: int, at: Position | None) -> tuple[Run, ...]:
    """Fewer spans, if these do not fit even by themselves: what is finished between two of them comes again.

    Only a batch of a lane that is sent in order of position is ever that large (`most_records`), and nobody else
    has records between those.
    """
    while len(cover) > 1 and part_size(cover, at) > room:
        cover = tuple(_joined(cover))
    return cover


def _joined(cover: tuple[Run, ...]) -> Iterator[Run]:
    """Every two neighbours as one."""
    for index in range(0, len(cover), 2):
        yield cover[index][0], cover[min(index + 1, len(cover) - 1)][1]
