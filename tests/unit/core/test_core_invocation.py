"""A batch as one call: what it holds, and the key that survives a repetition (docs/decisions/0014)."""

from core_records import record

from esm.core.invocation import invocation
from esm.model import Invocation, Record
from esm.testing.queue.fake import FakeCodec


def call(*records: Record, mapping: str = "orders", batch_id: str = "b-1", attempt: int = 1) -> Invocation:
    return invocation(records, FakeCodec(), mapping=mapping, batch_id=batch_id, attempt=attempt)


def test_records_are_delivered_in_their_order() -> None:
    one, two = record(0, event=b'{"n":1}'), record(1, event=b'{"n":2}')
    made = call(two, one, attempt=3)
    assert made.payload == FakeCodec().render([two, one])
    assert (made.mapping, made.batch_id, made.attempt) == ("orders", "b-1", 3)


def test_the_key_is_of_the_records_alone() -> None:
    one, two = record(0), record(1)
    key = call(one, two).idempotency_key
    assert call(two, one, mapping="others", batch_id="b-2", attempt=2).idempotency_key == key
    assert call(one).idempotency_key != key


def test_ids_do_not_run_into_each_other() -> None:
    one = call(record(0, id_="ab"), record(1, id_="c"))
    assert one.idempotency_key != call(record(0, id_="a"), record(1, id_="bc")).idempotency_key
