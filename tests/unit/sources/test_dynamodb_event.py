"""The event of DynamoDB's records, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.core.filtering import FilterSet
from esm.model import Lane, Record
from esm.sources.dynamodb import PLUGIN
from esm.sources.dynamodb.event import DynamoCodec, StreamRecord, fragment_of, read_answer
from esm.sources.envelope import LARGEST_FRAGMENT

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/T/stream/2016-12-01T00:00:00.000"
CHANGE = (
    b'{"ApproximateCreationDateTime":1.48064202E9,"Keys":{"id":{"S":"k1"}},'
    b'"NewImage":{"id":{"S":"k1"},"n":{"N":"42"},"b":{"B":"Zm9vYmFy"}},'
    b'"SequenceNumber":"1405400000000002063282832","SizeBytes":54,"StreamViewType":"NEW_AND_OLD_IMAGES"}'
)
# In the order of the API, with a time as DynamoDB writes it.
WIRE = (
    b'{"awsRegion":"us-east-1","dynamodb":%b,"eventID":"f07f8ca4b0b26cb9c4e5e77e69f274ee",'
    b'"eventName":"INSERT","eventSource":"aws:dynamodb","eventVersion":"1.1"}' % CHANGE
)
EXPECTED = (
    b'{"Records":[{"eventID":"f07f8ca4b0b26cb9c4e5e77e69f274ee","eventName":"INSERT","eventVersion":"1.1",'
    b'"eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"ApproximateCreationDateTime":1480642020,'
    b'"Keys":{"id":{"S":"k1"}},"NewImage":{"id":{"S":"k1"},"n":{"N":"42"},"b":{"B":"Zm9vYmFy"}},'
    b'"SequenceNumber":"1405400000000002063282832","SizeBytes":54,"StreamViewType":"NEW_AND_OLD_IMAGES"},'
    b'"eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/T/stream/2016-12-01T00:00:00.000"}]}'
)


def read(*records: bytes) -> tuple[StreamRecord, ...]:
    return read_answer(b'{"NextShardIterator":"i","Records":[%b]}' % b",".join(records)).records


def wire(**changed: Any) -> StreamRecord:
    """The example with other members below `dynamodb`; None leaves one out."""
    record = json.loads(WIRE)
    record["dynamodb"] = {k: v for k, v in {**record["dynamodb"], **changed}.items() if v is not None}
    (item,) = read(json.dumps(record).encode())
    return item


def event(item: StreamRecord) -> dict[str, Any]:
    return json.loads(fragment_of(item, ARN))  # type: ignore[no-any-return]


def a_record(fragment: bytes = b"{}", *, seq: int = 0, arrived: float = 0.0) -> Record:
    return Record(seq, f"1000{seq}", "k", arrived, 0.0, fragment, ARN, 10000 + seq)


def test_event_is_that_of_the_documentation() -> None:
    (item,) = read(WIRE)
    assert DynamoCodec().render([a_record(fragment_of(item, ARN))]) == EXPECTED


def test_expired_items_say_who_deleted_them() -> None:
    who = b'"userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}}'
    (item,) = read(WIRE[:-1] + b"," + who)
    fragment = fragment_of(item, ARN)
    assert (
        b'"awsRegion":"us-east-1","userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"dynamodb":{'
        in (fragment)
    )
    assert list(json.loads(fragment)) == [
        "eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "userIdentity", "dynamodb",
        "eventSourceARN",
    ]  # fmt: skip


def test_a_record_can_be_encoded_again() -> None:
    who = b'"userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}}'
    (item,) = read(WIRE[:-1] + b"," + who)
    assert fragment_of(item, ARN) == fragment_of(item, ARN)


@pytest.mark.parametrize("who", [b"null", b"{}"])
def test_nobody_in_particular_is_left_out(who: bytes) -> None:
    (item,) = read(WIRE[:-1] + b',"userIdentity":%b}' % who)
    assert "userIdentity" not in event(item)


@pytest.mark.parametrize("new", [{"id": {"S": "k1"}}, {}, None])
@pytest.mark.parametrize("old", [{"id": {"S": "k1"}}, {}, None])
def test_images_are_there_as_the_stream_has_them(new: Any, old: Any) -> None:
    change = event(wire(NewImage=new, OldImage=old, StreamViewType="OLD_IMAGE"))["dynamodb"]
    assert (change.get("NewImage"), change.get("OldImage")) == (new, old)
    order = ["ApproximateCreationDateTime", "Keys", "NewImage", "OldImage", "SequenceNumber", "SizeBytes"]
    assert list(change) == [name for name in (*order, "StreamViewType") if name in change]


@pytest.mark.parametrize("told", ["1480642020", "1480642020.0", "1.48064202E9", "1480642020.987"])
def test_times_are_whole_seconds(told: str) -> None:
    (item,) = read(WIRE.replace(b"1.48064202E9", told.encode()))
    assert b'"ApproximateCreationDateTime":1480642020,' in fragment_of(item, ARN)


def test_missing_parts_of_a_lax_server_are_tolerated() -> None:
    (item,) = read(
        b'{"dynamodb":{"ApproximateCreationDateTime":1,"Keys":{},"SequenceNumber":"1"},"somethingNew":{"a":[1]}}'
    )
    assert event(item)["eventID"] == ""


@pytest.mark.parametrize("count", [1, 2, 7])
def test_frame_and_separators_add_up(count: int) -> None:
    batch = [a_record()] * count
    rendered = DynamoCodec().render(batch)
    assert len(rendered) == DynamoCodec().frame + sum(len(record.event) for record in batch) + count - 1
    assert json.loads(rendered) == {"Records": [{}] * count}


def test_largest_fragment_fills_an_invocation() -> None:
    assert len(DynamoCodec().render([a_record(b" " * LARGEST_FRAGMENT)])) == 6 * 1024 * 1024


def test_key_is_the_item_and_not_its_spelling() -> None:
    one = wire(Keys={"id": {"S": "ü"}, "at": {"N": "1"}}).dynamodb.key
    assert one == wire(Keys={"at": {"N": "1"}, "id": {"S": "ü"}}).dynamodb.key
    (raw,) = read(WIRE.replace(b'{"id":{"S":"k1"}},"New', '{ "id" :{"S":"ü"}, "at":{"N":"1"}},"New'.encode()))
    assert raw.dynamodb.key == one
    assert wire(Keys={"id": {"S": "1"}}).dynamodb.key != wire(Keys={"id": {"N": "1"}}).dynamodb.key


def test_a_given_up_batch_is_described_to_the_second() -> None:
    records = [a_record(arrived=1573690764.0), a_record(seq=1, arrived=1573690765.9)]
    described = DynamoCodec().describe(
        Lane("2016-12-01T00:00:00.000/shardId-00000001573689847184-864758bb"), records
    )
    assert list(described.items()) == [
        (
            "DDBStreamBatchInfo",
            {
                "shardId": "shardId-00000001573689847184-864758bb",
                "startSequenceNumber": "10000",
                "endSequenceNumber": "10001",
                "approximateArrivalOfFirstRecord": "2019-11-14T00:19:24Z",
                "approximateArrivalOfLastRecord": "2019-11-14T00:19:25Z",
                "batchSize": 2,
                "streamArn": ARN,
            },
        )
    ]
    assert list(described["DDBStreamBatchInfo"])[:2] == ["shardId", "startSequenceNumber"]


def test_filters_see_the_item_with_its_type_tags() -> None:
    (item,) = read(WIRE)
    view = DynamoCodec().view(a_record(fragment_of(item, ARN)))

    def keeps(pattern: str) -> bool:
        return FilterSet([pattern], PLUGIN.data_keys).keeps(view)

    assert keeps('{"dynamodb":{"NewImage":{"n":{"N":["42"]}}},"eventName":["INSERT"]}')
    assert keeps('{"dynamodb":{"ApproximateCreationDateTime":[{"numeric":[">",1480642000]}]}}')
    assert not keeps('{"dynamodb":{"NewImage":{"n":["42"]}}}')


_scalars = st.one_of(
    st.builds(lambda text: {"S": text}, st.text()),
    st.builds(lambda number: {"N": str(number)}, st.integers()),
    st.builds(lambda data: {"B": data}, st.text(alphabet="Ab+/=")),
    st.builds(lambda truth: {"BOOL": truth}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda texts: {"SS": texts}, st.lists(st.text())),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.builds(lambda items: {"L": items}, st.lists(inner)),
        st.builds(lambda items: {"M": items}, st.dictionaries(st.text(), inner)),
    ),
    max_leaves=8,
)
_images = st.dictionaries(st.text(), _values)


@given(new=st.none() | _images, old=st.none() | _images, escaped=st.booleans())
def test_items_travel_as_they_came(new: Any, old: Any, *, escaped: bool) -> None:
    images = {k: v for k, v in (("NewImage", new), ("OldImage", old)) if v is not None}
    record = json.loads(WIRE)
    record["dynamodb"] = {"OldImage": None, "NewImage": None, **record["dynamodb"], **images}
    for name in ("NewImage", "OldImage"):
        if name not in images:
            del record["dynamodb"][name]
    (item,) = read(json.dumps(record, ensure_ascii=escaped).encode())
    assert {k: v for k, v in event(item)["dynamodb"].items() if k.endswith("Image")} == images


def test_a_time_that_no_calendar_has_does_not_keep_a_record_from_being_given_up() -> None:
    described = DynamoCodec().describe(Lane("l/s"), [a_record(arrived=1.7e12)])
    assert described["DDBStreamBatchInfo"]["approximateArrivalOfFirstRecord"].endswith("Z")


def test_half_a_surrogate_pair_in_a_key_does_not_wedge_a_shard() -> None:
    one, other = (
        wire(Keys={"a": {"S": "\ud800"}, "b": {"N": "1"}}),
        wire(Keys={"b": {"N": "1"}, "a": {"S": "\ud800"}}),
    )
    assert one.dynamodb.key == other.dynamodb.key
    assert event(one)["dynamodb"]["Keys"]["a"] == {"S": "?"}
