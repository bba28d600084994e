"""Kinesis records as events: byte for byte AWS's, whatever is in them."""

import base64
import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.model import Lane
from esm.sources.envelope import LARGEST_FRAGMENT
from esm.sources.kinesis.answers import read_records
from esm.sources.kinesis.event import Encoder, KinesisCodec

STREAM = "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"
ROLE = "arn:aws:iam::123456789012:role/lambda-role"
SHARD = "shardId-000000000006"
NUMBER = "49590338271490256608559692538361571095921575989136588898"
EVENT = (
    '{"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"1",'
    f'"sequenceNumber":"{NUMBER}",'
    '"data":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==","approximateArrivalTimestamp":1545084650.987},'
    '"eventSource":"aws:kinesis","eventVersion":"1.0",'
    f'"eventID":"{SHARD}:{NUMBER}",'
    f'"eventName":"aws:kinesis:record","invokeIdentityArn":"{ROLE}",'
    f'"awsRegion":"us-east-2","eventSourceARN":"{STREAM}"}}]}}'
)
CODEC = KinesisCodec()
ENCODER = Encoder(STREAM, SHARD, ROLE)


def records(*items: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Each item a record of GetRecords in JSON."""
    answer = read_records(b'{"Records":[%b]}' % ",".join(items).encode())
    return ENCODER.encode(answer.Records, 0, 2.0, 99.5)[0]


def item(key: str = '"1"', data: str = '"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg=="', at: str = "1.545084650987E9") -> str:
    return (
        f'{{"SequenceNumber":"{NUMBER}","ApproximateArrivalTimestamp":{at},"Data":{data},'
        f'"PartitionKey":{key},"EncryptionType":"KMS"}}'
    )


@pytest.mark.parametrize("at", ["1.545084650987E9", "1545084650.987", "1545084650.9870"])
def test_the_event_of_the_developer_guide(at: str) -> None:
    assert CODEC.render(records(item(at=at))).decode() == EVENT


def test_several_records_and_the_arithmetic_of_the_frame() -> None:
    both = records(item(), item(key='"2"'))
    event = CODEC.render(both)
    assert len(event) == CODEC.frame + sum(len(record.event) for record in both) + 1
    assert [each["kinesis"]["partitionKey"] for each in json.loads(event)["Records"]] == ["1", "2"]


def test_a_record() -> None:
    (record,) = records(item())
    assert (record.seq, record.id, record.key, record.position) == (0, NUMBER, "1", int(NUMBER))
    assert (record.arrived, record.read, record.handle) == (1545084650.987, 2.0, STREAM)


def test_whole_seconds_keep_their_fraction() -> None:
    (record,) = records(item(at="1607497475"))
    assert b'"approximateArrivalTimestamp":1607497475.000}' in record.event


def test_a_server_that_tells_no_arrival() -> None:
    (record,) = records('{"SequenceNumber":"1","Data":"","PartitionKey":"k"}')
    assert record.arrived == 99.5


@given(st.text(), st.binary(max_size=200), st.floats(0, 4e9), st.booleans())
def test_any_key_and_any_data_arrive_as_they_were_put(key: str, data: bytes, at: float, escaped: bool) -> None:  # noqa: FBT001
    text = json.dumps(key, ensure_ascii=escaped)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(key)
    (record,) = records(item(text, json.dumps(base64.b64encode(data).decode()), json.dumps(at)))
    fields = json.loads(record.event)["kinesis"]
    assert fields["partitionKey"] == key
    assert base64.b64decode(fields["data"]) == data
    assert math.isclose(fields["approximateArrivalTimestamp"], at, abs_tol=0.0006)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_the_same_key_is_the_same_however_it_is_written(key: str, escaped: bool) -> None:  # noqa: FBT001
    (record,) = records(item(json.dumps(key, ensure_ascii=escaped)))
    assert record.key == key


def test_half_a_surrogate_pair_wedges_nothing() -> None:
    one, other = records(item(r'"a\ud800"'), item())
    assert (one.key, other.key) == ("a?", "1")
    assert json.loads(one.event)["kinesis"]["partitionKey"] == "a?"


@pytest.mark.parametrize("data", ["QUJD/w==", 'no "base64"', "a\\b", "line\nline", "\x00"])
def test_data_that_a_server_escapes_arrives_as_it_was_meant(data: str) -> None:
    (record,) = records(item(data=json.dumps(data).replace("/", r"\/")))
    assert json.loads(record.event)["kinesis"]["data"] == data


def test_a_server_that_sends_no_text_wedges_nothing() -> None:
    raw = item(key='"k"').encode().replace(b'"k"', b'"\xff"')
    (record,) = ENCODER.encode(read_records(b'{"Records":[%b]}' % raw).Records, 0, 2.0, 0.0)[0]
    assert record.key == json.loads(record.event)["kinesis"]["partitionKey"] == "\ufffd"


def test_the_largest_record_and_one_byte_more() -> None:
    free = LARGEST_FRAGMENT - len(records(item(data='""'))[0].event)
    for surplus, wanted in ((0, 1), (1, 0)):
        answer = read_records(b'{"Records":[%b]}' % item(data=f'"{"A" * (free + surplus)}"').encode())
        kept, rejected = ENCODER.encode(answer.Records, 0, 2.0, 0.0)
        assert (len(kept), len(rejected)) == (wanted, 1 - wanted)


def test_filters_look_into_the_data() -> None:
    data = base64.b64encode(b'{"status":"paid"}').decode()
    (record,) = records(item(data=f'"{data}"'))
    view = CODEC.view(record)
    assert view["data"] == b'{"status":"paid"}'
    assert view["kinesis"] == orjson.loads(record.event)["kinesis"]


def test_a_batch_is_described_as_aws_does_it() -> None:
    batch = records(item(at="1573691884.835"), item(at="1573691884.9"), item(at="1573691885.58"))
    assert CODEC.describe(Lane(SHARD), batch) == {
        "KinesisBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": NUMBER,
            "endSequenceNumber": NUMBER,
            "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
            "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.580Z",
            "batchSize": 3,
            "streamArn": STREAM,
        }
    }


def test_a_time_that_no_calendar_has_does_not_keep_a_record_from_being_given_up() -> None:
    """A server that tells milliseconds where seconds belong."""
    (record,) = records(item(at="1700000000000"))
    info = CODEC.describe(Lane(SHARD), [record])["KinesisBatchInfo"]
    assert info["approximateArrivalOfFirstRecord"].endswith("Z")
