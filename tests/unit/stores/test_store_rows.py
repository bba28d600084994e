"""How rows are written down: what comes back, how small it stays, and what is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.checkpoint import Budget, Checkpoint, LaneRow, Span, Start
from esm.errors import StoreFailed
from esm.stores.rows import FORMAT, body_of, contents, format_of
from esm.testing.store_suite import full_row

POSITIONS = st.integers(min_value=0, max_value=2**190)
BUDGETS = st.builds(
    Budget,
    attempts=st.integers(0, 10_001),
    first_failed=st.none() | st.floats(0, 4e9),
    in_flight=st.booleans(),
    cuts=st.integers(0, 9),
    given_up=st.booleans(),
)


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    at = draw(st.none() | POSITIONS)
    parts = draw(st.lists(BUDGETS, max_size=5))
    edges = sorted(draw(st.sets(st.integers(1, 2**120), max_size=12)))
    part = st.none() | st.integers(0, len(parts) - 1) if parts else st.none()
    spans = [
        Span((at or 0) + first, (at or 0) + last, draw(part))
        for first, last in zip(edges[::2], edges[1::2], strict=False)
    ]
    return Checkpoint(at, draw(st.booleans()), draw(st.booleans()), tuple(spans), tuple(parts))


@given(start=st.none() | st.builds(Start, st.none() | st.floats(0, 4e9)), checkpoint=st.none() | checkpoints())
def test_every_row_comes_back(start: Start | None, checkpoint: Checkpoint | None) -> None:
    row = LaneRow("scope", "lane", start=start, checkpoint=checkpoint)
    assert contents(body_of(row), format_of(row), "here") == (start, checkpoint)


def test_a_thousand_spans_of_long_positions_stay_below_64_kib() -> None:
    row = full_row(1_000)
    assert row.checkpoint is not None
    assert len(row.checkpoint.spans) == 1_000
    assert len(str(row.checkpoint.spans[-1].last)) == 56
    assert len(body_of(row)) < 64 * 1024


def test_a_row_is_json_that_people_can_read() -> None:
    checkpoint = Checkpoint(
        at=100, clean=False, spans=(Span(110, 110), Span(120, 140, 0)), parts=(Budget(2, 5.5, in_flight=True),)
    )
    body = msgspec.json.decode(body_of(LaneRow("scope", "lane", start=Start(1.5), checkpoint=checkpoint)))
    assert body == {
        "start": {"time": 1.5},
        "checkpoint": {"at": "100", "clean": False, "spans": "a.0 a.14.0", "parts": [[2, 5.5, True, 0]]},
    }


def test_what_an_older_version_wrote_is_read() -> None:
    body = b'{"checkpoint":{"at":"100","clean":false,"spans":"a.0 a.14.0","parts":[[2,5.5,true,0]]}}'
    checkpoint = Checkpoint(
        at=100, clean=False, spans=(Span(110, 110), Span(120, 140, 0)), parts=(Budget(2, 5.5, in_flight=True),)
    )
    assert contents(body, 1, "here") == (None, checkpoint)


def test_only_what_an_older_version_would_deliver_again_is_kept_from_it() -> None:
    parts = (Budget(2), Budget(3, given_up=True))
    plain = LaneRow("scope", "lane", checkpoint=Checkpoint(7, parts=parts[:1]))
    marked = LaneRow("scope", "lane", checkpoint=Checkpoint(7, parts=parts))
    assert [format_of(row) for row in (LaneRow("scope", "lane"), plain, marked)] == [1, 1, 2]
    assert b"given_up" not in body_of(plain)
    assert msgspec.json.decode(body_of(marked))["checkpoint"]["given_up"] == [1]


def test_a_format_of_tomorrow_is_refused_with_a_cure() -> None:
    with pytest.raises(StoreFailed, match=rf"^here was written by a newer version of esm \(format {FORMAT + 1}"):
        contents(b'{"future": true}', FORMAT + 1, "here")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"checkpoint": {"at": "x"}}', b'{"checkpoint": {"spans": "1"}}', b"\xff"]
)
def test_damage_is_told_and_not_guessed_at(body: bytes) -> None:
    with pytest.raises(StoreFailed, match=r"^here is damaged"):
        contents(body, FORMAT, "here")
