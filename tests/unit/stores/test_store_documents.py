"""Rows as documents: what is exported comes back, whatever a row holds."""

from hypothesis import given
from hypothesis import strategies as st
from test_store_rows import checkpoints

from esm.checkpoint import Checkpoint, LaneRow, Start
from esm.stores.documents import VERSION, Document, decoded, encoded, row_of, text_of


@given(start=st.none() | st.builds(Start, st.none() | st.floats(0, 4e9)), checkpoint=st.none() | checkpoints())
def test_every_row_comes_back(start: Start | None, checkpoint: Checkpoint | None) -> None:
    row = LaneRow("scope", "lane ✓", "owner", 3, 14, start, checkpoint)
    document = Document(VERSION, [text_of(row, "orders")])
    (text,) = decoded(encoded(document).encode()).rows
    assert (text.mapping, row_of(text)) == ("orders", row)
