"""The memory that all lanes share: what is held, what open reads may bring, and who waits for room."""

from hypothesis import given, settings
from hypothesis import strategies as st

from esm.runtime.memory import Memory

KIB = 1024


def test_there_is_room_for_so_many_records_of_the_size_seen_lately() -> None:
    memory = Memory(160 * KIB, typical=KIB)
    assert memory.room == 150
    memory.hold(10 * KIB, 10)
    assert memory.room == 140
    memory.free(10 * KIB)
    assert memory.room == 150


def test_larger_records_count_at_once_and_smaller_ones_little_by_little() -> None:
    memory = Memory(160 * KIB, typical=KIB)
    memory.hold(20 * KIB, 2)
    assert memory.room == 13
    memory.free(20 * KIB)
    assert memory.room == 15
    memory.hold(1, 1)
    assert memory.room == 16
    for _ in range(500):
        memory.hold(1, 1)
        memory.free(1)
    assert memory.room > 10_000


def test_what_open_reads_may_bring_takes_room_until_they_end() -> None:
    memory = Memory(160 * KIB, typical=KIB)
    memory.expect(100)
    assert memory.room == 50
    memory.expect(100)
    assert memory.room == 0
    memory.arrived(100)
    assert memory.room == 50


def test_holding_never_refuses_and_nothing_is_not_a_size() -> None:
    memory = Memory(16 * KIB, typical=KIB)
    memory.hold(17 * KIB, 10)
    assert (memory.room, memory.used) == (0, 17 * KIB)
    memory.hold(0, 0)
    assert (memory.room, memory.used) == (0, 17 * KIB)


def test_who_waits_for_room_is_woken_once_when_there_is_some() -> None:
    memory, woken = Memory(16 * KIB, typical=KIB), list[str]()

    def first() -> None:
        woken.append("first")

    def second() -> None:
        woken.append("second")

    memory.hold(20 * KIB, 20)
    memory.when_room(first)
    memory.when_room(first)
    memory.when_room(second)
    memory.free(5 * KIB)
    assert woken == []
    memory.free(KIB)
    assert woken == ["first", "second"]
    memory.free(KIB)
    assert woken == ["first", "second"]


def test_a_read_that_brought_nothing_makes_room_for_those_who_wait() -> None:
    memory, woken = Memory(16 * KIB, typical=KIB), list[str]()
    memory.expect(15)
    memory.when_room(lambda: woken.append("woken"))
    memory.arrived(15)
    assert woken == ["woken"]


def test_who_finds_no_room_when_woken_waits_again() -> None:
    memory, woken = Memory(16 * KIB, typical=KIB), list[int]()

    def take() -> None:
        woken.append(memory.used // KIB)
        memory.hold(10 * KIB, 10)
        memory.when_room(take)

    memory.hold(15 * KIB, 15)
    memory.when_room(take)
    memory.free(KIB)
    assert (woken, memory.used) == ([14], 24 * KIB)
    memory.free(10 * KIB)
    assert (woken, memory.used) == ([14, 14], 24 * KIB)


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 10), st.integers(0, 5_000)), max_size=30))
def test_what_goes_in_comes_out(steps: list[tuple[int, int]]) -> None:
    memory = Memory(100_000, typical=KIB)
    for records, each in steps:
        memory.expect(10)
        memory.hold(records * each, records)
        memory.arrived(10)
        assert memory.room >= 0
    assert memory.used == sum(records * each for records, each in steps)
    for records, each in steps:
        memory.free(records * each)
    assert memory.used == 0
    assert memory.room > 0
