"""The mark: by hand, and against a list of all records that is too simple to be wrong."""

from core_log_records import at, line
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st

from esm.core.log.watermark import Watermark
from esm.model import Record


def test_it_starts_where_the_lane_was_left() -> None:
    assert Watermark(None).mark is None
    assert Watermark(70).mark == 70


def test_the_mark_is_the_end_of_the_gapless_prefix() -> None:
    mark, records = Watermark(0), line("10a", "20b", "30a", "40b")
    mark.opened(records, None)
    mark.settled([records[1], records[2]])
    assert (mark.mark, mark.runs()) == (0, [(20, 30)])
    mark.settled(records[:1])
    assert (mark.mark, mark.runs()) == (30, [])
    mark.settled(records[3:])
    assert (mark.mark, len(mark)) == (40, 0)


def test_the_end_of_a_page_may_lie_beyond_its_last_record() -> None:
    mark, records = Watermark(0), line("10a", "20b")
    mark.opened(records, 25)
    mark.settled(records)
    assert mark.mark == 25
    mark.opened([], 30)
    assert mark.mark == 30


def test_an_empty_page_moves_the_end_of_the_one_before() -> None:
    mark, records = Watermark(None), line("10a")
    mark.opened(records, None)
    mark.opened([], 30)
    assert mark.mark is None
    mark.settled(records)
    assert mark.mark == 30


def test_a_lane_that_was_never_read_may_begin_with_an_empty_page() -> None:
    mark = Watermark(None)
    mark.opened([], 30)
    assert mark.mark == 30
    mark.opened([], 40)
    assert mark.mark == 40


def test_the_mark_never_goes_back() -> None:
    mark = Watermark(50)
    mark.opened([], 30)
    assert mark.mark == 50


def test_pages_that_are_settled_as_a_whole_become_two_positions() -> None:
    mark = Watermark(0)
    stuck = at(1, 1)
    mark.opened([stuck], None)
    for first in range(2, 100_002, 1_000):
        records = [at(seq, seq) for seq in range(first, first + 1_000)]
        mark.opened(records, None)
        mark.settled(records)
        mark.runs()
    assert mark.runs() == [(2, 100_001)]
    assert len(mark._pages) == 2
    mark.settled([stuck])
    assert (mark.mark, len(mark), mark._pages) == (100_001, 0, [])


def test_what_is_open_further_on_keeps_no_page_from_becoming_two_positions() -> None:
    mark = Watermark(0)
    stuck, late = at(1, 1), at(2_002, 2_002)
    mark.opened([stuck], None)
    for first in (2, 1_002):
        records = [at(seq, seq) for seq in range(first, first + 1_000)]
        mark.opened(records, None)
        mark.settled(records)
    mark.opened([late], None)
    assert mark.runs() == [(2, 2_001)]
    assert [page.count for page in mark._pages] == [1, 2_000, 1]
    assert [page.positions is None for page in mark._pages] == [False, True, False]


PAGES = st.lists(st.tuples(st.integers(0, 6), st.one_of(st.none(), st.integers(0, 4))), min_size=1, max_size=12)


class Plain:
    """Every record with its position and whether it is settled; the end of what was read after each."""

    def __init__(self) -> None:
        self.all: list[tuple[Record, int]] = []
        self.settled: set[int] = set()
        self.before = 0

    def opened(self, records: list[Record], upto: int | None) -> None:
        self.all += [(record, record.position) for record in records]
        if upto is not None and self.all:
            self.all[-1] = (self.all[-1][0], max(upto, self.all[-1][1]))
        elif upto is not None:
            self.before = max(upto, self.before)

    def mark(self) -> int:
        mark = self.before
        for record, end in self.all:
            if record.seq not in self.settled:
                return mark
            mark = end
        return mark

    def runs(self) -> list[tuple[int, int]]:
        runs: list[list[Record]] = [[]]
        for record, _ in self.all:
            if record.seq in self.settled:
                runs[-1].append(record)
            else:
                runs.append([])
        return [(run[0].position, run[-1].position) for run in runs if run and run[0].position > self.mark()]


@PATIENT
@given(pages=PAGES, chance=st.randoms(use_true_random=False))
def test_it_is_what_a_plain_list_says(pages: list[tuple[int, int | None]], chance: object) -> None:
    mark, plain = Watermark(0), Plain()
    seq = position = 0
    unsettled: list[Record] = []
    for count, beyond in pages:
        records = [at(seq + n, position + 10 * n) for n in range(1, count + 1)]
        seq += count
        position += 10 * count
        upto = None if beyond is None else position + beyond
        mark.opened(records, upto)
        plain.opened(records, upto)
        unsettled += records
        chance.shuffle(unsettled)  # type: ignore[attr-defined]
        settling = [unsettled.pop() for _ in range(chance.randint(0, len(unsettled)))]  # type: ignore[attr-defined]
        settling.sort(key=lambda record: record.seq)
        mark.settled(settling)
        plain.settled |= {record.seq for record in settling}
        assert mark.mark == plain.mark()
        if chance.random() < 0.5:  # type: ignore[attr-defined]
            assert mark.runs() == plain.runs()
    mark.settled(sorted(unsettled, key=lambda record: record.seq))
    plain.settled |= {record.seq for record in unsettled}
    assert (mark.mark, len(mark)) == (plain.mark(), 0)
