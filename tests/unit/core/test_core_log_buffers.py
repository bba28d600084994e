"""The buffer of a log: batches are filled to their share, and one key may stand for the whole lane."""

from core_records import ids, of_size, record

from esm.core.buffers import KEYS, ONE_KEY, KeyedBuffer, KeyRule

PLENTY = 10**9


def of_log(*keys: str, rule: KeyRule = KEYS) -> KeyedBuffer:
    buffer = KeyedBuffer(rule)
    buffer.extend(record(seq, key, read=float(seq)) for seq, key in enumerate(keys, 1))
    return buffer


def test_a_batch_of_a_log_ends_with_the_front_of_a_key() -> None:
    buffer = of_log("a", "b", "a", "b", "a")
    batch = buffer.take(4, PLENTY)
    assert ids(batch) == ["m1", "m2", "m3", "m5"]
    assert (buffer.ready, len(buffer)) == (0, 1)
    buffer.unlock(batch)
    assert ids(buffer.take(4, PLENTY)) == ["m4"]


def test_a_batch_of_a_log_ends_where_its_room_does() -> None:
    buffer = KeyedBuffer(KEYS)
    buffer.extend([of_size(1, 5, "a"), of_size(2, 5, "b"), of_size(3, 9, "b"), of_size(4, 2, "c")])
    assert ids(buffer.take(10, 15)) == ["m1", "m2"]
    assert ids(buffer.take(10, 15)) == ["m4"]


def test_a_key_that_does_not_fit_at_all_is_not_locked() -> None:
    buffer = KeyedBuffer(KEYS)
    buffer.extend([of_size(1, 10, "a"), of_size(2, 10, "b")])
    assert ids(buffer.take(10, 15)) == ["m1"]
    assert ids(buffer.take(10, 15)) == ["m2"]


def test_one_key_for_all_keeps_the_whole_lane_in_order() -> None:
    buffer = of_log("a", "b", "a", "c", rule=ONE_KEY)
    batch = buffer.take(2, PLENTY)
    assert ids(batch) == ["m1", "m2"]
    assert (buffer.ready, buffer.take(2, PLENTY), buffer.oldest) == (0, [], None)
    buffer.unlock(batch)
    assert buffer.oldest == record(3, "a", read=3.0)
    assert ids(buffer.take(2, PLENTY)) == ["m3", "m4"]


def test_keys_that_came_back_with_an_owner_are_locked() -> None:
    buffer = KeyedBuffer(KEYS)
    buffer.lock(["a"])
    buffer.extend([record(1, "a"), record(2, "b")])
    assert ids(buffer.take(9, PLENTY)) == ["m2"]
    buffer.unlock_keys(["a", "never locked"])
    assert ids(buffer.take(9, PLENTY)) == ["m1"]


def test_records_without_a_key_are_in_order_among_themselves() -> None:
    """No key is one key: who wants more of them at once gives each a key of its own."""
    buffer = KeyedBuffer(KEYS)
    buffer.extend([record(1, None), record(2, "a"), record(3, None)])
    batch = buffer.take(1, PLENTY)
    assert (ids(batch), buffer.ready) == (["m1"], 1)
    assert ids(buffer.take(9, PLENTY)) == ["m2"]
    buffer.unlock(batch)
    assert ids(buffer.take(9, PLENTY)) == ["m3"]
