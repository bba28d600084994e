"""The event, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqs_stub import ARN, a_message, records

from esm.core.filtering import FilterSet
from esm.model import Record
from esm.sources.envelope import LARGEST_FRAGMENT
from esm.sources.sqs import PLUGIN
from esm.sources.sqs.event import Fragments, SqsCodec

# The example of "Using Lambda with Amazon SQS" with the message attribute of its second example.
EXPECTED = (
    b'{"Records":[{"messageId":"059f36b4-87a3-44ab-83d2-661975830a7d","receiptHandle":"AQEBwJnKyr...",'
    b'"body":"Test message.","attributes":{"ApproximateReceiveCount":"1","SentTimestamp":"1545082649183",'
    b'"SenderId":"AIDAIENQZJOLO23YVJ4VO","ApproximateFirstReceiveTimestamp":"1545082649185"},'
    b'"messageAttributes":{"WeeksOn":{"stringValue":"6","stringListValues":[],"binaryListValues":[],'
    b'"dataType":"Number"}},'
    b'"md5OfMessageAttributes":"d25a6aea97eb8f585bfa92d314504a92","md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3",'
    b'"eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:us-east-2:123456789012:my-queue",'
    b'"awsRegion":"us-east-2"}]}'
)
MESSAGE = {
    # Not in the order of the event: a server may answer in any.
    "MD5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
    "MD5OfMessageAttributes": "d25a6aea97eb8f585bfa92d314504a92",
    "Body": "Test message.",
    "Attributes": {
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": "1545082649185",
        "ApproximateReceiveCount": "1",
        "SentTimestamp": "1545082649183",
    },
    "MessageAttributes": {"WeeksOn": {"DataType": "Number", "StringValue": "6"}},
    "ReceiptHandle": "AQEBwJnKyr...",
    "MessageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
}


def encode(message: dict[str, Any], window: float = 0) -> dict[str, Any]:
    return json.loads(Fragments(ARN, window).encode(message))  # type: ignore[no-any-return]


def test_event_is_that_of_the_documentation() -> None:
    fragment = Fragments("arn:aws:sqs:us-east-2:123456789012:my-queue", 0).encode(MESSAGE)
    (record,) = records(1)
    assert SqsCodec().render([_with(record, fragment)]) == EXPECTED


@pytest.mark.parametrize("count", [1, 2, 7])
def test_frame_and_separators_add_up(count: int) -> None:
    batch = records(count)
    event = SqsCodec().render(batch)
    assert len(event) == SqsCodec().frame + sum(len(record.event) for record in batch) + count - 1
    assert json.loads(event) == {"Records": [{}] * count}


def test_largest_fragment_fills_an_invocation() -> None:
    (record,) = records(1)
    assert len(SqsCodec().render([_with(record, b" " * LARGEST_FRAGMENT)])) == 6 * 1024 * 1024


@pytest.mark.parametrize(
    ("window", "md5", "expected"),
    [
        (0, None, "absent"),
        (0.5, None, "absent"),
        (1, None, None),
        (300, None, None),
        (0, "d25a", "d25a"),
        (1, "d25a", "d25a"),
    ],
)
def test_md5_of_attributes_is_null_only_with_a_window(
    window: float, md5: str | None, expected: str | None
) -> None:
    message = a_message() if md5 is None else a_message(MD5OfMessageAttributes=md5)
    assert encode(message, window).get("md5OfMessageAttributes", "absent") == expected


def test_fifo_attributes_stand_in_the_order_of_the_documentation() -> None:
    order = [
        "ApproximateReceiveCount",
        "SentTimestamp",
        "SequenceNumber",
        "MessageGroupId",
        "SenderId",
        "MessageDeduplicationId",
        "ApproximateFirstReceiveTimestamp",
    ]
    message = a_message(Attributes=dict.fromkeys([*reversed(order), "SomethingNew"], "1"))
    assert list(encode(message)["attributes"]) == [*order, "SomethingNew"]


def test_binary_attribute_stays_base64() -> None:
    message = a_message(MessageAttributes={"b": {"DataType": "Binary.png", "BinaryValue": "AAEC/w=="}})
    assert encode(message)["messageAttributes"] == {
        "b": {"binaryValue": "AAEC/w==", "stringListValues": [], "binaryListValues": [], "dataType": "Binary.png"}
    }


def test_missing_parts_of_a_lax_server_are_tolerated() -> None:
    event = encode({"MessageId": "m", "ReceiptHandle": "r"})
    assert event["body"] == ""
    assert event["attributes"] == event["messageAttributes"] == {}


def test_half_a_surrogate_pair_travels_as_it_came() -> None:
    assert encode(a_message(Body="\ud800 ü"))["body"] == "\ud800 ü"


_text = st.text()
_names = st.text(min_size=1)
_attribute = st.one_of(
    st.builds(lambda value: {"DataType": "String", "StringValue": value}, _text),
    st.builds(lambda value: {"DataType": "Binary", "BinaryValue": value}, _text),
)


@given(
    body=_text,
    handle=_names,
    attributes=st.dictionaries(_names, _text),
    typed=st.dictionaries(_names, _attribute),
    window=st.sampled_from([0, 1]),
)
def test_decoding_the_fragment_gives_back_what_was_received(
    body: str, handle: str, attributes: dict[str, str], typed: dict[str, dict[str, str]], window: int
) -> None:
    message = a_message(Body=body, ReceiptHandle=handle, Attributes=attributes, MessageAttributes=typed)
    event = encode(message, window)
    assert event["body"] == body
    assert event["receiptHandle"] == handle
    assert event["attributes"] == attributes
    back = {
        name: {
            key: value[field]
            for key, field in [
                ("DataType", "dataType"),
                ("StringValue", "stringValue"),
                ("BinaryValue", "binaryValue"),
            ]
            if field in value
        }
        for name, value in event["messageAttributes"].items()
    }
    assert back == typed


def _with(record: Any, event: bytes) -> Any:
    return type(record)(**{**{name: getattr(record, name) for name in record.__struct_fields__}, "event": event})


def read(message: dict[str, Any]) -> Record:
    return Record(0, "m", None, 0.0, 0.0, Fragments(ARN, 0).encode(message), "r")


def test_filters_see_the_message_as_the_function_does() -> None:
    body = '{"status": "paid"}'
    record = read(a_message(Body=body))
    view = SqsCodec().view(record)
    assert view == json.loads(record.event)
    assert view["body"] == body
    filters = FilterSet(['{"body": {"status": ["paid"]}, "eventSource": ["aws:sqs"]}'], PLUGIN.data_keys)
    assert filters.keeps(view)


def test_half_a_surrogate_pair_is_plain_text_to_filters() -> None:
    record = read(a_message(Body="\ud800"))
    view = SqsCodec().view(record)
    assert view["body"] == "\ud800"
    assert FilterSet(['{"body": [{"exists": true}]}'], PLUGIN.data_keys).keeps(view)
    assert not FilterSet(['{"body": {"a": [{"exists": false}]}}'], PLUGIN.data_keys).keeps(view)
