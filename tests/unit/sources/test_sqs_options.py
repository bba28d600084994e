"""How a queue is named, and where its client is then pointed."""

import asyncio
from typing import Any, cast

import pytest
from pydantic import ValidationError

from esm.clients.aws import AwsOptions
from esm.plugins import Kind, SourceContext
from esm.ports import QueueSource
from esm.sources.sqs import PLUGIN, SqsOptions
from esm.world import real_world

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"


@pytest.mark.parametrize(
    "text",
    [
        ARN,
        "arn:aws-cn:sqs:cn-north-1:123456789012:orders",
        "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:orders.fifo",
    ],
)
def test_an_arn_in_one_line_is_understood(text: str) -> None:
    assert PLUGIN.parse(text) == {"arn": text}
    SqsOptions(arn=text)


@pytest.mark.parametrize(
    "text",
    [
        "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        "https://sqs-fips.us-east-1.amazonaws.com/123456789012/orders.fifo",
        "https://eu-west-1.queue.amazonaws.com/123456789012/orders",
        "https://vpce-0a1-b2.sqs.eu-west-1.vpce.amazonaws.com/123456789012/orders",
        "http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/orders",
    ],
)
def test_a_url_in_one_line_is_understood(text: str) -> None:
    assert PLUGIN.parse(text) == {"queue_url": text}
    SqsOptions(queue_url=text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "orders",
        "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
        "arn:aws:sns:eu-west-1:123456789012:orders",
        "xarn:aws:sqs:eu-west-1:123456789012:orders",
        "https://orders.internal/invoke",
        "https://sqsorders.internal/invoke",
        "sqs://orders",
        "python:app:handler",
    ],
)
def test_what_names_no_queue_is_left_to_others(text: str) -> None:
    assert PLUGIN.parse(text) is None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"arn": ARN, "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"},
        {"arn": "arn:aws:sqs:eu-west-1:123:orders"},
        {"arn": "arn:aws:sqs::123456789012:orders"},
        {"arn": "arn:aws:sqs:eu-west-1:123456789012:"},
        {"arn": "arn:aws:sqs:eu-west-1:123456789012:or ders"},
        {"arn": "arn:aws:sqs:eu-west-1:123456789012:orders.FIFO"},
        {"arn": "arn:aws:sqs:eu-west-1:123456789012:" + "a" * 81},
        {"arn": ARN + "\n"},
        {"queue_url": "https://sqs.eu-west-1.amazonaws.com/orders"},
        {"queue_url": "ftp://sqs.eu-west-1.amazonaws.com/123456789012/orders"},
        {"queue_url": "https:///123456789012/orders"},
        {"queue_url": "https://me:secret@sqs.eu-west-1.amazonaws.com/123456789012/orders"},
        {"arn": ARN, "wait_time_seconds": 0},
        {"arn": ARN, "wait_time_seconds": 21},
        {"arn": ARN, "wait_time_seconds": "21s"},
        {"arn": ARN, "wait_time_seconds": "soon"},
        {"arn": ARN, "visibility_timeout": 30},
        {"arn": ARN, "aws": {"regoin": "eu-west-1"}},
        {"arn": ARN, "aws": {"endpoint_url": "localhost:9324"}},
        {"arn": ARN, "aws": {"role_arn": "admin"}},
    ],
    ids=str,
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SqsOptions.model_validate(options)


@pytest.mark.parametrize(("given", "seconds"), [(1, 1), ("20s", 20), (7.5, 7.5), ("0.1m", 6)])
def test_a_wait_is_a_duration(given: object, seconds: float) -> None:
    assert SqsOptions.model_validate({"arn": ARN, "wait_time_seconds": given}).wait_time_seconds == seconds


def test_defaults() -> None:
    options = SqsOptions(arn=ARN)
    assert options.wait_time_seconds == 20
    assert PLUGIN.kind(options) is Kind.SQS


def test_fifo_is_known_by_its_name() -> None:
    assert PLUGIN.kind(SqsOptions(arn=ARN + ".fifo")) is Kind.FIFO
    assert (
        PLUGIN.kind(SqsOptions(queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/a.fifo")) is Kind.FIFO
    )


def test_name_and_account_come_from_either_address() -> None:
    for options in (
        SqsOptions(arn=ARN),
        SqsOptions(queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/orders"),
    ):
        assert (options.account, options.name) == ("123456789012", "orders")


def test_the_arn_decides_the_region() -> None:
    options = SqsOptions(arn=ARN, aws=AwsOptions(region="us-east-1"))
    assert options.reach({"region": "us-west-2"}).region == "eu-west-1"


@pytest.mark.parametrize(
    ("url", "region", "endpoint"),
    [
        (
            "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
            "eu-west-1",
            "https://sqs.eu-west-1.amazonaws.com",
        ),
        ("https://us-west-2.queue.amazonaws.com/1/orders", "us-west-2", "https://us-west-2.queue.amazonaws.com"),
        ("http://127.0.0.1:9324/000000000000/orders", "us-east-1", "http://127.0.0.1:9324"),
    ],
)
def test_a_url_decides_region_and_endpoint_as_far_as_it_tells(url: str, region: str, endpoint: str) -> None:
    reach = SqsOptions(queue_url=url).reach({"region": "us-east-1", "endpoint_url": None})
    assert (reach.region, reach.endpoint_url) == (region, endpoint)


def test_own_options_win_over_the_files_even_with_null() -> None:
    options = SqsOptions.model_validate({"arn": ARN, "aws": {"endpoint_url": None, "profile": "blue"}})
    reach = options.reach({"endpoint_url": "http://127.0.0.1:4566", "profile": "green", "role_arn": None})
    assert (reach.endpoint_url, reach.profile) == (None, "blue")


def test_making_a_source_does_no_io() -> None:
    context = SourceContext(mapping="orders", aws={}, window=0, world=real_world())
    source = cast("QueueSource", PLUGIN.make(SqsOptions(arn=ARN), context))

    async def lanes() -> list[list[str]]:
        return [[lane.name for lane in lanes] async for lanes in source.lanes()]

    assert asyncio.run(lanes()) == [["orders"]]
