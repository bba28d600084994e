"""Who is written down where there is room for few: the oldest first, for as long as it takes, and nobody twice."""

from core_log_records import at, part
from msgspec import structs

from esm.checkpoint import Budget
from esm.core.buffers import KEYS
from esm.core.log.packing import HEADROOM, part_size
from esm.core.log.parts import UNTRIED, Owner, Part
from esm.core.log.places import give_places, written

ONE = part_size([(10, 10)], 0)
TRIED = Budget(1, 5.0)


def owner(*parts: Part, known: bool = True) -> Owner:
    return Owner(parts, KEYS.key_of, known=known)


def tried(*places: str, first: int = 1) -> Part:
    return structs.replace(part(*places, first=first), budget=TRIED)


def covers(*owners: Owner) -> list[tuple[tuple[int, int], ...]]:
    return [one.cover for each in owners for one in each.parts]


def test_the_oldest_has_its_place_first_and_keeps_it() -> None:
    old, young = owner(tried("10a")), owner(tried("20b", first=2))
    give_places([young, old], HEADROOM + ONE, 0)
    assert covers(old, young) == [((10, 10),), ()]
    older = owner(tried("5c", first=0))
    give_places([young, old, older], HEADROOM + ONE, 0)
    assert covers(older, old, young) == [(), ((10, 10),), ()]
    give_places([young, old, older], HEADROOM + 2 * ONE, 0)
    assert covers(older, old, young) == [((5, 5),), ((10, 10),), ()]


def test_nobody_overtakes_the_oldest_although_it_would_fit() -> None:
    long = owner(tried("10a", "20a", "30a"))
    long.parts[0] = structs.replace(long.first, records=tuple(at(n * 2, n * 10) for n in range(1, 30)))
    short = owner(tried("400b", first=99))
    give_places([long, short], HEADROOM + ONE + 40, 0)
    assert covers(long, short) != [(), ((400, 400),)]
    give_places([short], HEADROOM + ONE + 40, 0)
    assert covers(short) == [((400, 400),)]


def test_what_has_no_budget_needs_no_place() -> None:
    untried, too_large = owner(part("10a")), owner(structs.replace(tried("20b"), too_large="7 MB"))
    give_places([untried, too_large], 4096, 0)
    assert covers(untried, too_large) == [(), ()]
    assert written([too_large], 4096, 0) == []


def test_a_place_is_made_of_runs_of_records() -> None:
    some = owner(Part((at(1, 10), at(2, 12), at(4, 20), at(5, 25)), TRIED))
    give_places([some], 4096, 0)
    assert covers(some) == [((10, 12), (20, 25))]


def test_a_place_that_would_be_too_large_by_itself_is_made_of_fewer_spans() -> None:
    """What is finished between two of them comes again; by then nobody else has records there."""
    some = owner(Part(tuple(at(2 * n, 10 * n) for n in range(1, 6)), TRIED))
    give_places([some], HEADROOM + part_size([(10, 20), (30, 40), (50, 50)], 0), 0)
    assert covers(some) == [((10, 20), (30, 40), (50, 50))]
    crowd = owner(Part(tuple(at(2 * n, 10 * n) for n in range(1, 6)), TRIED))
    give_places([crowd], HEADROOM + part_size([(10, 50)], 0), 0)
    assert covers(crowd) == [((10, 50),)]


# What is written


def test_parts_without_a_budget_are_written_as_far_as_there_is_room_beside_the_others() -> None:
    halves = owner(part("10a"), part("20b", first=2), part("30c", first=3))
    other = owner(tried("40d", first=4))
    give_places([halves, other], 4096, 0)
    assert [one.records[0].position for one in written([halves, other], 4096, 0)] == [40, 10, 20, 30]
    short = HEADROOM + part_size([(40, 40)], 0) + 2 * ONE
    assert [one.records[0].position for one in written([other, halves], short, 0)] == [40, 10, 20]


def test_what_never_failed_is_not_written() -> None:
    assert written([owner(part("10a"), known=False)], 4096, 0) == []


def test_nothing_is_written_behind_a_part_that_waits_for_its_place() -> None:
    """What lies below a part of its keys, and is in none, counts as finished."""
    waiting = owner(tried("10a", "20b"), part("30a", first=3))
    assert written([waiting], 4096, 0) == []
    give_places([waiting], 4096, 0)
    assert [one.budget for one in written([waiting], 4096, 0)] == [TRIED, UNTRIED]


def test_nothing_is_written_behind_a_part_that_does_not_fit_although_it_would() -> None:
    long = Part(tuple(at(2 * n, 10 * n) for n in range(1, 30)))
    stack = owner(long, part("400a", first=99))
    assert written([stack], HEADROOM + ONE + 10, 0) == []
    assert len(written([stack], 4096, 0)) == 2


def test_all_that_is_written_fits() -> None:
    owners = [owner(tried(f"{10 * n}a", first=n), part(f"{10 * n + 1000}b", first=n + 50)) for n in range(1, 30)]
    for room in range(HEADROOM, HEADROOM + 900, 7):
        give_places(owners, room, 0)
        sizes = [part_size(one.cover or tuple(one.runs()), 0) for one in written(owners, room, 0)]
        assert sum(sizes) <= room - HEADROOM


def test_places_are_measured_from_the_mark() -> None:
    """A million offsets into a partition a place takes no more than at its beginning."""
    room = HEADROOM + 2 * ONE
    far, farther = owner(tried("1000010a")), owner(tried("1000011b", first=2))
    give_places([far], room, 1_000_000)
    give_places([far, farther], room, 1_000_000)
    assert covers(far, farther) == [((1_000_010, 1_000_010),), ((1_000_011, 1_000_011),)]
    halves = owner(part("1000012c"), part("1000013d", first=2))
    assert len(written([halves], room, 1_000_000)) == 2
    assert len(written([far, halves], room, 1_000_000)) == 2
    crowd = owner(Part(tuple(at(2 * n, 1_000_000 + 10 * n) for n in range(1, 4)), TRIED))
    give_places([crowd], HEADROOM + ONE + 4, 1_000_000)
    assert len(crowd.first.cover) == 3
