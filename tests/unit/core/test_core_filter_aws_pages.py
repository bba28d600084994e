"""The examples of AWS's pages on filters, each as cases: what the page says passes, and its nearest neighbours."""

import json
from base64 import b64encode
from typing import Any

import pytest

from esm.core.filtering import DATA_KEYS, FilterSet, InvalidPattern, view_of

Case = tuple[str, str, Any, list[Any], list[Any]]


def sqs(body: Any) -> dict[str, Any]:
    return {
        "messageId": "m1",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
        "awsRegion": "us-west-2",
    }


def kinesis(data: Any) -> dict[str, Any]:
    return {"kinesis": {"partitionKey": "1", "data": b64(data)}, "eventSource": "aws:kinesis"}


def kafka(value: Any) -> dict[str, Any]:
    return {"topic": "mytopic", "partition": 0, "offset": 15, "value": b64(value), "headers": []}


def mq(data: Any) -> dict[str, Any]:
    return {"messageID": "ID:1", "data": b64(data), "redelivered": False}


def dynamodb(**images: Any) -> dict[str, Any]:
    return {"eventID": "1", "dynamodb": {"SequenceNumber": "111", **images}}


def b64(data: Any) -> str:
    return b64encode((data if isinstance(data, str) else json.dumps(data)).encode()).decode()


def named(name: str) -> dict[str, Any]:
    return {"AccountManager": {"S": name}}


ITEM = {
    "UserID": {"S": "12345"},
    "Name": {"S": "John Doe"},
    "Organizations": {"L": [{"S": "Sales"}, {"S": "Marketing"}, {"S": "Support"}]},
}
PERSON = {"person": {"name": "John", "age": 30, "address": {"street": "Main St", "city": "Anytown"}}}
MANAGER = {"dynamodb": {"NewImage": {"AccountManager": {"S": ["Pat Candella", "Shirley Rodriguez"]}}}}

# name, source, pattern, what passes, what does not
PAGES: dict[str, list[Case]] = {
    "invocation-eventfiltering": [
        ("null", "none", {"UserID": [None]}, [{"UserID": None}], [{"UserID": ""}, {}, {"UserID": "null"}]),
        ("empty", "none", {"LastName": [""]}, [{"LastName": ""}], [{"LastName": None}, {"LastName": " "}, {}]),
        ("equals", "none", {"Name": ["Alice"]}, [{"Name": "Alice"}], [{"Name": "alice"}, {"Name": "Alice "}]),
        (
            "equals, ignoring case",
            "none",
            {"Name": [{"equals-ignore-case": "alice"}]},
            [{"Name": "Alice"}, {"Name": "ALICE"}],
            [{"Name": "Alicia"}],
        ),
        (
            "and",
            "none",
            {"Location": ["New York"], "Day": ["Monday"]},
            [{"Location": "New York", "Day": "Monday"}],
            [{"Location": "New York", "Day": "Sunday"}, {"Day": "Monday"}],
        ),
        (
            "or",
            "none",
            {"PaymentType": ["Credit", "Debit"]},
            [{"PaymentType": "Credit"}, {"PaymentType": "Debit"}],
            [{"PaymentType": "Cash"}],
        ),
        (
            "or over fields",
            "none",
            {"$or": [{"Location": ["New York"]}, {"Day": ["Monday"]}]},
            [{"Location": "New York", "Day": "Sunday"}, {"Day": "Monday"}],
            [{"Location": "Boston", "Day": "Sunday"}],
        ),
        (
            "not",
            "none",
            {"Weather": [{"anything-but": ["Raining"]}]},
            [{"Weather": "Sunny"}],
            [{"Weather": "Raining"}, {}],
        ),
        ("numeric equals", "none", {"Price": [{"numeric": ["=", 100]}]}, [{"Price": 100}], [{"Price": 101}]),
        (
            "numeric range",
            "none",
            {"Price": [{"numeric": [">", 10, "<=", 20]}]},
            [{"Price": 11}, {"Price": 20}],
            [{"Price": 10}, {"Price": 21}, {"Price": "15"}],
        ),
        ("exists", "none", {"ProductName": [{"exists": True}]}, [{"ProductName": "x"}], [{}]),
        ("does not exist", "none", {"ProductName": [{"exists": False}]}, [{}], [{"ProductName": "x"}]),
        (
            "begins with",
            "none",
            {"Region": [{"prefix": "us-"}]},
            [{"Region": "us-east-1"}],
            [{"Region": "eu-us-1"}],
        ),
        (
            "ends with",
            "none",
            {"FileName": [{"suffix": ".png"}]},
            [{"FileName": "a.png"}],
            [{"FileName": "a.jpg"}],
        ),
        ("an intermediate node", "none", {"person": {"address": [{"exists": True}]}}, [], [PERSON]),
        ("its leaf", "none", {"person": {"address": {"city": [{"exists": True}]}}}, [PERSON], [{"person": {}}]),
        ("two numbers", "none", {"Metadata": [1, 2]}, [{"Metadata": 1}, {"Metadata": 2}], [{"Metadata": 3}]),
        (
            "a key of DynamoDB",
            "dynamodb",
            {"dynamodb": {"Keys": {"Number": {"N": ["4567"]}}}},
            [dynamodb(Keys={"Number": {"N": "4567"}})],
            [dynamodb(Keys={"Number": {"N": "1234"}}), dynamodb(Keys={"Number": {"S": "4567"}})],
        ),
    ],
    "with-sqs-filtering": [
        (
            "a field of the body",
            "sqs",
            {"body": {"RequestCode": ["BBBB"]}},
            [sqs({"RecordNumber": 1, "RequestCode": "BBBB"})],
            [sqs({"RequestCode": "AAAA"}), sqs({}), sqs("BBBB")],
        ),
        (
            "a number of the body",
            "sqs",
            {"body": {"RecordNumber": [{"numeric": [">", 9999]}]}},
            [sqs({"RecordNumber": 10_000})],
            [sqs({"RecordNumber": 9999}), sqs({"RecordNumber": "10000"})],
        ),
    ],
    "with-kinesis-filtering": [
        (
            "not below `kinesis`",
            "kinesis",
            {"data": {"order": {"type": ["buy"]}}},
            [kinesis({"record": 12345, "order": {"type": "buy", "stock": "ANYCO", "quantity": 1000}})],
            [kinesis({"order": {"type": "sell"}}), kinesis("buy"), kinesis({"type": "buy"})],
        ),
    ],
    "with-ddb-filtering": [
        (
            "a table's key",
            "dynamodb",
            {"dynamodb": {"Keys": {"CustomerName": {"S": ["AnyCompany Industries"]}}}},
            [dynamodb(Keys={"CustomerName": {"S": "AnyCompany Industries"}})],
            [dynamodb(Keys={"CustomerName": {"S": "Other"}}), dynamodb(NewImage={})],
        ),
        (
            "an attribute",
            "dynamodb",
            MANAGER,
            [dynamodb(NewImage=named("Pat Candella")), dynamodb(NewImage=named("Shirley Rodriguez"))],
            [dynamodb(NewImage=named("Terry Whitlock")), dynamodb(OldImage=named("Pat Candella"))],
        ),
        (
            "two images, written as one object",
            "dynamodb",
            {
                "dynamodb": {
                    "NewImage": {"AccountManager": {"S": ["Pat Candella"]}},
                    "OldImage": {"AccountManager": {"S": ["Terry Whitlock"]}},
                }
            },
            [dynamodb(NewImage=named("Pat Candella"), OldImage=named("Terry Whitlock"))],
            [dynamodb(NewImage=named("Pat Candella"), OldImage=named("Pat Candella"))],
        ),
        (
            "a number is text there",
            "dynamodb",
            {"dynamodb": {"NewImage": {"Price": {"N": [{"numeric": [">", 1]}]}}}},
            [],
            [dynamodb(NewImage={"Price": {"N": "5"}})],
        ),
        (
            "an attribute is no leaf",
            "dynamodb",
            {"dynamodb": {"NewImage": {"Organizations": [{"exists": True}]}}},
            [],
            [dynamodb(NewImage=ITEM)],
        ),
        (
            "a list's values are",
            "dynamodb",
            {"dynamodb": {"NewImage": {"Organizations": {"L": {"S": [{"exists": True}]}}}}},
            [dynamodb(NewImage=ITEM)],
            [dynamodb(NewImage={"Name": {"S": "x"}})],
        ),
        (
            "so an attribute never exists",
            "dynamodb",
            {"dynamodb": {"NewImage": {"Name": [{"exists": False}]}}},
            [dynamodb(NewImage=ITEM), dynamodb(NewImage={})],
            [],
        ),
    ],
    "kafka-filtering": [
        (
            "a prefix",
            "kafka",
            {"value": {"device_ID": [{"prefix": "AB"}]}},
            [kafka({"device_ID": "AB1234", "session": {"duration": 162}}), kafka("a plain string")],
            [kafka({"device_ID": "XY"}), kafka({})],
        ),
        (
            "plain strings",
            "kafka",
            {"value": [{"anything-but": ["error"]}]},
            [kafka("fine"), kafka("Hello, this is a test."), kafka({"is": "JSON"})],
            [kafka("error")],
        ),
    ],
    "with-mq-filtering": [
        (
            "a number",
            "mq",
            {"data": {"timeout": [{"numeric": [">", 0]}]}},
            [mq({"timeout": 1, "IPAddress": "203.0.113.254"}), mq("ABC:AAAA")],
            [mq({"timeout": 0})],
        ),
        ("plain strings", "mq", {"data": [{"prefix": "Result: "}]}, [mq("Result: 1")], [mq("No result")]),
    ],
    "eb-create-pattern-operators": [
        (
            "prefix",
            "none",
            {"time": [{"prefix": "2017-10-02"}]},
            [{"time": "2017-10-02T18:43:48Z"}],
            [{"time": "2017"}],
        ),
        (
            "prefix, ignoring case",
            "none",
            {"detail": {"service": [{"prefix": {"equals-ignore-case": "EventB"}}]}},
            [{"detail": {"service": "eventbridge"}}, {"detail": {"service": "EVENTBUS"}}],
            [{"detail": {"service": "events"}}],
        ),
        (
            "suffix, ignoring case",
            "none",
            {"detail": {"FileName": [{"suffix": {"equals-ignore-case": ".png"}}]}},
            [{"detail": {"FileName": "a.PNG"}}],
            [{"detail": {"FileName": "png"}}],
        ),
        (
            "anything but a number",
            "none",
            {"detail": {"x-limit": [{"anything-but": 123}]}},
            [{"detail": {"x-limit": 124}}, {"detail": {"x-limit": "123"}}],
            [{"detail": {"x-limit": 123}}, {"detail": {}}],
        ),
        (
            "anything but texts",
            "none",
            {"detail": {"state": [{"anything-but": ["stopped", "overloaded"]}]}},
            [{"detail": {"state": "running"}}],
            [{"detail": {"state": "stopped"}}],
        ),
        (
            "anything but numbers",
            "none",
            {"detail": {"x-limit": [{"anything-but": [100, 200, 300]}]}},
            [{"detail": {"x-limit": 150}}],
            [{"detail": {"x-limit": 200}}],
        ),
        (
            "anything but, ignoring case",
            "none",
            {"detail": {"state": [{"anything-but": {"equals-ignore-case": ["initializing", "stopped"]}}]}},
            [{"detail": {"state": "running"}}],
            [{"detail": {"state": "Initializing"}}, {"detail": {"state": "STOPPED"}}],
        ),
        (
            "anything but prefixes",
            "none",
            {"detail": {"state": [{"anything-but": {"prefix": ["init", "stop"]}}]}},
            [{"detail": {"state": "running"}}],
            [{"detail": {"state": "initializing"}}, {"detail": {"state": "stopped"}}],
        ),
        (
            "anything but suffixes",
            "none",
            {"detail": {"FileName": [{"anything-but": {"suffix": [".txt", ".rtf"]}}]}},
            [{"detail": {"FileName": "a.md"}}],
            [{"detail": {"FileName": "a.txt"}}, {"detail": {"FileName": "a.rtf"}}],
        ),
        (
            "anything but wildcards",
            "none",
            {"detail": {"FilePath": [{"anything-but": {"wildcard": ["*/lib/*", "*/bin/*"]}}]}},
            [{"detail": {"FilePath": "/etc/x"}}],
            [{"detail": {"FilePath": "/usr/lib/x"}}, {"detail": {"FilePath": "/bin/sh"}}],
        ),
        (
            "numbers",
            "none",
            {
                "detail": {
                    "c-count": [{"numeric": [">", 0, "<=", 5]}],
                    "d-count": [{"numeric": ["<", 10]}],
                    "x-limit": [{"numeric": ["=", 3.018e2]}],
                }
            },
            [{"detail": {"c-count": 5, "d-count": 9, "x-limit": 301.8}}],
            [{"detail": {"c-count": 0, "d-count": 9, "x-limit": 301.8}}, {"detail": {"c-count": 1, "d-count": 1}}],
        ),
        (
            "addresses",
            "none",
            {"detail": {"sourceIPAddress": [{"cidr": "10.0.0.0/24"}]}},
            [{"detail": {"sourceIPAddress": "10.0.0.0"}}, {"detail": {"sourceIPAddress": "10.0.0.255"}}],
            [{"detail": {"sourceIPAddress": "10.0.1.0"}}],
        ),
        (
            "exists",
            "none",
            {"detail": {"state": [{"exists": True}]}},
            [{"detail": {"instance-id": "i-abcd1111", "state": "pending"}}],
            [{"detail": {"c-count": {"c1": 100}}}],
        ),
        (
            "a value in a list",
            "none",
            {"detail-type": [{"equals-ignore-case": "ec2 instance state-change notification"}]},
            [{"detail-type": ["EC2 Instance State-change Notification"]}],
            [{"detail-type": ["EC2"]}],
        ),
        (
            "wildcards",
            "none",
            {"EventBusArn": [{"wildcard": "*:*:*:*:*:event-bus/*"}], "FileName": [{"wildcard": "dir/*.png"}]},
            [{"EventBusArn": "arn:aws:events:us-east-1:1:event-bus/x", "FileName": "dir/a.png"}],
            [{"EventBusArn": "arn:aws:events:us-east-1:event-bus/x", "FileName": "dir/a.png"}],
        ),
        (
            "several",
            "none",
            {
                "time": [{"prefix": "2017-10-02"}],
                "detail": {
                    "state": [{"anything-but": "initializing"}],
                    "c-count": [{"numeric": [">", 0, "<=", 5]}],
                    "d-count": [{"numeric": ["<", 10]}],
                    "x-limit": [{"anything-but": [100, 200, 300]}],
                },
            },
            [{"time": "2017-10-02T1", "detail": {"state": "up", "c-count": 1, "d-count": 1, "x-limit": 1}}],
            [{"time": "2017-10-02T1", "detail": {"state": "up", "c-count": 1, "d-count": 1, "x-limit": 100}}],
        ),
        (
            "or",
            "none",
            {
                "detail": {
                    "$or": [
                        {"c-count": [{"numeric": [">", 0, "<=", 5]}]},
                        {"d-count": [{"numeric": ["<", 10]}]},
                        {"x-limit": [{"numeric": ["=", 3.018e2]}]},
                    ]
                }
            },
            [{"detail": {"c-count": 9, "d-count": 9}}, {"detail": {"x-limit": 301.8}}],
            [{"detail": {"c-count": 9, "d-count": 10, "x-limit": 301}}],
        ),
    ],
}
ALL = [(page, *case) for page, cases in PAGES.items() for case in cases]


@pytest.mark.parametrize(
    ("source", "pattern", "passing", "others"),
    [case[2:] for case in ALL],
    ids=[f"{page}: {name}" for page, name, *_ in ALL],
)
def test_an_example(source: str, pattern: Any, passing: list[Any], others: list[Any]) -> None:
    filters = FilterSet([json.dumps(pattern)], DATA_KEYS[source])
    assert [filters.keeps(view_of(record, source)) for record in passing] == [True] * len(passing)
    assert [filters.keeps(view_of(record, source)) for record in others] == [False] * len(others)


def test_the_page_on_dynamodb_gives_a_key_twice_and_means_and_which_is_refused() -> None:
    """EventBridge's page says that the last one counts. Nobody can know, so it has to be written as one."""
    twice = '{"dynamodb": {"NewImage": {"a": ["x"]}}, "dynamodb": {"OldImage": {"a": ["y"]}}}'
    with pytest.raises(InvalidPattern, match="dynamodb is given twice"):
        FilterSet([twice], DATA_KEYS["dynamodb"])


def test_filters_are_or() -> None:
    filters = FilterSet(['{"body": {"a": [1]}}', '{"body": {"b": [2]}}'], DATA_KEYS["sqs"])
    assert [filters.keeps(sqs(body)) for body in ({"a": 1}, {"b": 2}, {"a": 2})] == [True, True, False]


@pytest.mark.parametrize("key", ["attributes", "eventSource", "messageId"])
def test_metadata(key: str) -> None:
    record = sqs({"a": 1})
    wanted = {"attributes": {"ApproximateReceiveCount": ["1"]}, "eventSource": ["aws:sqs"], "messageId": ["m1"]}[
        key
    ]
    filters = FilterSet([json.dumps({key: wanted, "body": {"a": [1]}})], DATA_KEYS["sqs"])
    assert filters.keeps(record)
    assert not filters.keeps({**record, key: "other"})
    assert not filters.keeps({**record, "body": "{}"})


def test_names_of_dynamodb_that_were_seen_to_work() -> None:
    filters = FilterSet(['{"eventName": ["INSERT"], "eventSource": ["aws:dynamodb"]}'], DATA_KEYS["dynamodb"])
    assert filters.keeps({"eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": {}})
    assert not filters.keeps({"eventName": "REMOVE", "eventSource": "aws:dynamodb", "dynamodb": {}})
