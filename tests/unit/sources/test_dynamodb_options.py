"""How a stream or a table is named, where it may begin, and what it needs."""

from typing import Any

import pytest
from pydantic import ValidationError

from esm.plugins import Kind, Permission, SourceContext
from esm.sources.dynamodb import PLUGIN, DynamoOptions
from esm.world import real_world

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"


def a_context(position: str | None) -> SourceContext:
    return SourceContext(mapping="m", aws={}, window=0, world=real_world(), starting_position=position)


@pytest.mark.parametrize("text", [ARN, ARN.replace("arn:aws:", "arn:aws-cn:").replace("eu-west-1", "cn-north-1")])
def test_a_stream_in_one_line_is_understood(text: str) -> None:
    assert PLUGIN.parse(text) == {"stream": text}
    DynamoOptions(stream=text)


@pytest.mark.parametrize(
    "text", ["", "orders", "dynamodb:orders", "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"]
)
def test_what_names_no_stream_is_left_to_others(text: str) -> None:
    assert PLUGIN.parse(text) is None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stream": ARN, "table": "orders"},
        {"stream": ARN.replace("123456789012", "123")},
        {"stream": ARN.partition("/stream")[0]},
        {"stream": ARN + "\n"},
        {"table": "or"},
        {"table": "or ders"},
        {"table": "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"},
        {"table": "orders", "wait_time_seconds": 1},
    ],
    ids=str,
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DynamoOptions.model_validate(options)


def test_the_arn_of_a_table_is_refused_with_the_way_to_follow_it() -> None:
    with pytest.raises(ValidationError, match=r"write `\{type: dynamodb, table: NAME\}`"):
        DynamoOptions.model_validate(PLUGIN.parse(ARN.partition("/stream")[0]))


@pytest.mark.parametrize("position", ["LATEST", "TRIM_HORIZON"])
def test_both_positions_are_taken_without_io(position: str) -> None:
    PLUGIN.make(DynamoOptions(stream=ARN), a_context(position))


def test_a_time_is_refused_in_awss_words() -> None:
    with pytest.raises(
        ValueError, match=f"^Unsupported starting position for arn type: {ARN}: write TRIM_HORIZON or LATEST$"
    ):
        PLUGIN.make(DynamoOptions(stream=ARN), a_context("AT_TIMESTAMP"))


def test_a_missing_position_is_refused_in_awss_words() -> None:
    with pytest.raises(ValueError, match="Value null at 'startingPosition' failed to satisfy constraint"):
        PLUGIN.make(DynamoOptions(stream=ARN), a_context(None))


def test_a_mapping_has_the_options_of_its_kind() -> None:
    assert PLUGIN.kind(DynamoOptions(table="orders")) is Kind.DYNAMODB


def test_the_arn_decides_the_region() -> None:
    assert DynamoOptions(stream=ARN).reach({"region": "us-west-2"}).region == "eu-west-1"
    assert DynamoOptions(table="orders").reach({"region": "us-west-2"}).region == "us-west-2"


def test_permissions_are_the_least_that_is_used() -> None:
    role = "arn:aws:iam::123456789012:role/r"
    actions = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator")
    assert PLUGIN.permissions(DynamoOptions(stream=ARN), {"role_arn": role}) == (Permission(actions, ARN, role),)
    assert PLUGIN.permissions(DynamoOptions(table="orders"), {"region": "eu-west-1"}) == (
        Permission((*actions, "dynamodb:ListStreams"), "arn:aws:dynamodb:eu-west-1:*:table/orders/stream/*"),
    )
