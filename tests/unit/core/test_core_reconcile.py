"""What to stop and what to start."""

from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st

from esm.core.reconcile import Change, difference


def test_new_keys_start_old_ones_stop_and_changed_ones_do_both() -> None:
    change = difference({"same": 1, "changed": 1, "old": 1}, {"same": 1, "changed": 2, "new": 1})
    assert change == Change(stop=frozenset({"changed", "old"}), start=frozenset({"changed", "new"}))


STATES = st.dictionaries(st.integers(0, 5), st.integers(0, 2))


@PATIENT
@given(running=STATES, wanted=STATES)
def test_the_change_leads_from_what_runs_to_what_is_wanted_and_touches_nothing_else(
    running: dict[int, int], wanted: dict[int, int]
) -> None:
    change = difference(running, wanted)
    left = {key: value for key, value in running.items() if key not in change.stop}
    assert not left.keys() & change.start
    assert left | {key: value for key, value in wanted.items() if key in change.start} == wanted
    assert all(running[key] == wanted.get(key) for key in left)
    assert difference(wanted, wanted) == Change(frozenset(), frozenset())
