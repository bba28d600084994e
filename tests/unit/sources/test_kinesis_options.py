"""How a Kinesis stream is named."""

import pytest
from pydantic import ValidationError

from esm.sources.kinesis import PLUGIN, KinesisOptions

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"


def test_one_line_is_the_arn() -> None:
    assert PLUGIN.parse(ARN) == {"stream": ARN}
    assert PLUGIN.parse("arn:aws-cn:kinesis:x") == {"stream": "arn:aws-cn:kinesis:x"}
    for other in (
        "orders",
        "arn:aws:sqs:eu-west-1:123456789012:orders",
        "https://kinesis.eu-west-1.amazonaws.com",
    ):
        assert PLUGIN.parse(other) is None


def test_the_arn_says_name_and_region() -> None:
    options = KinesisOptions.model_validate({"stream": ARN, "region": "us-east-1"})
    assert (options.name, options.arn) == ("orders", ARN)
    assert options.reach({"region": "us-west-2"}).region == "eu-west-1"


def test_a_name_is_looked_for_in_a_region() -> None:
    options = KinesisOptions.model_validate({"stream": "orders"})
    assert (options.name, options.arn) == ("orders", None)
    assert options.reach({"region": "us-west-2"}).region == "us-west-2"
    options = KinesisOptions.model_validate({"stream": "orders", "region": "eu-west-1", "aws": {"profile": "p"}})
    assert options.reach({"region": "us-west-2"}).region == "eu-west-1"
    assert options.reach({}).profile == "p"


def test_a_consumer_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(ValidationError, match=f"not supported yet: write the stream's own, {ARN}, which"):
        KinesisOptions(stream=f"{ARN}/consumer/fast:1600000000")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a" * 129,
        "arn:aws:kinesis:eu-west-1:123456789012:orders",
        "arn:aws:kinesis:eu-west-1:12345:stream/orders",
        f"{ARN}\n",
        f"{ARN}/consumer",
        "stream/orders",
    ],
)
def test_what_is_no_stream_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        KinesisOptions(stream=text)


def test_what_is_taken_of_a_shard_is_all_it_has() -> None:
    quota = KinesisOptions(stream="orders").quota
    assert (quota.reads, quota.size) == (5, 2_000_000)
