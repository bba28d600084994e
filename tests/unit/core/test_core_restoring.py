"""What each record that is read again had become."""

from core_log_records import line, places, positions

from esm.checkpoint import Budget, Checkpoint, Span
from esm.core.log.restoring import Restoration, Restored


def restored(checkpoint: Checkpoint, *read: str) -> Restored:
    """All of these are read, then it is over."""
    restoration = Restoration(checkpoint)
    settled, fresh = restoration.admit(line(*read))
    assert not settled
    restoration.hold(fresh)
    restoration.reached(int(read[-1][:-1]))
    assert not restoration.is_open
    return restoration.finish()


def test_of_each_key_what_lies_below_its_last_failing_record_is_finished() -> None:
    spans = (Span(20, 20, 0), Span(30, 30, 1), Span(50, 50, 0))
    left = restored(
        Checkpoint(5, spans=spans, parts=(Budget(1, 0.0), Budget(2, 0.0))),
        "10a", "11b", "12c", "20a", "30a", "40a", "41b", "50b", "60a", "61b",
    )  # fmt: skip
    assert positions(left.parts) == [[20, 50], [30]]
    assert [part.budget.attempts for part in left.parts] == [1, 2]
    assert places(left.finished) == ["10a", "11b", "41b"]
    assert places(left.fresh) == ["12c", "40a", "60a", "61b"]


def test_the_last_record_of_a_key_counts_in_whichever_part_it_is() -> None:
    spans = (Span(10, 10, 0), Span(20, 20, 1), Span(40, 40, 0))
    left = restored(Checkpoint(spans=spans, parts=(Budget(), Budget())), "10a", "20a", "30a", "40a", "50a")
    assert (places(left.finished), places(left.fresh)) == (["30a"], ["50a"])


def test_parts_that_lost_all_their_records_are_gone_and_others_keep_their_budget() -> None:
    spans = (Span(10, 10, 0), Span(20, 20, 1))
    left = restored(Checkpoint(spans=spans, parts=(Budget(1, 0.0), Budget(2, 0.0))), "20a")
    assert [(part.budget.attempts, places(part.records)) for part in left.parts] == [(2, ["20a"])]


def test_it_is_open_until_the_last_failing_record_was_read_or_the_lane_has_ended() -> None:
    spans = (Span(10, 20, 0), Span(30, 40), Span(50, 60))
    restoration = Restoration(Checkpoint(5, spans=spans, parts=(Budget(),)))
    assert (restoration.is_open, restoration.is_idle) == (True, False)
    opened = []
    for position in (19, 7, 20):
        restoration.reached(position)
        opened.append(restoration.is_open)
    assert opened == [True, True, False]
    ended = Restoration(Checkpoint(5, spans=spans, parts=(Budget(),)))
    ended.ended()
    assert not ended.is_open
    assert not Restoration(Checkpoint(5, spans=spans[1:])).is_open


def test_what_was_settled_is_skipped_and_what_was_not_read_yet_is_kept() -> None:
    restoration = Restoration(Checkpoint(5, spans=(Span(10, 20), Span(30, 40), Span(60, 70))))
    assert restoration.unread() == [(10, 20), (30, 40), (60, 70)]
    settled, fresh = restoration.admit(line("9a", "10a", "15a", "20a", "21a", "29a", "30a"))
    assert (places(settled), places(fresh)) == (["10a", "15a", "20a", "30a"], ["9a", "21a", "29a"])
    restoration.reached(30)
    assert restoration.unread() == [(31, 40), (60, 70)]
    settled, fresh = restoration.admit(line("41a", "70a", "71a", first=8))
    assert (places(settled), places(fresh), restoration.is_idle) == (["70a"], ["41a", "71a"], True)
    restoration.reached(71)
    assert restoration.unread() == []
