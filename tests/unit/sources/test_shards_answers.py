"""What is no answer to GetRecords, although it is JSON and came with 200, ends no shard."""

import msgspec
import pytest
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from esm.sources.dynamodb.event import read_answer
from esm.sources.kinesis.answers import read_records

STRANGE = [b"{}", b'{"message": "welcome"}', b'{"Records": null}', b"[]", b'"ok"', b'{"NextShardIterator": "i"}']


@pytest.mark.parametrize("body", STRANGE)
def test_what_is_no_answer_ends_no_shard(body: bytes) -> None:
    with pytest.raises(ResponseParserError):
        read_records(body)
    with pytest.raises(msgspec.MsgspecError):
        read_answer(body)


def test_the_end_of_a_shard_has_records_and_no_iterator() -> None:
    assert read_records(b'{"Records": []}').NextShardIterator is None
    assert read_answer(b'{"Records": []}').next_shard_iterator is None
