"""How destinations are written, in one line and at length, and what is refused with which words."""

from typing import Any

import pytest
from pydantic import ValidationError

from esm.destinations import BUILT_IN
from esm.options import Options
from esm.plugins import DestinationPlugin

ACCOUNT = "123456789012"
PLUGINS = {plugin.name: plugin for plugin in BUILT_IN}


def meant(line: str) -> list[tuple[DestinationPlugin, dict[str, Any]]]:
    """Each kind that takes the line for its own."""
    parsed = [(plugin, plugin.parse(line)) for plugin in BUILT_IN]
    return [(plugin, dict(options)) for plugin, options in parsed if options is not None]


def made(kind: str, **options: Any) -> Options:
    return PLUGINS[kind].options.model_validate(options)


@pytest.mark.parametrize(
    ("line", "kind", "options"),
    [
        (f"arn:aws:sqs:eu-west-1:{ACCOUNT}:failed", "sqs", {"arn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:failed"}),
        (
            f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/failed",
            "sqs",
            {"queue_url": f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/failed"},
        ),
        (
            f"arn:aws-cn:sns:cn-north-1:{ACCOUNT}:failed",
            "sns",
            {"arn": f"arn:aws-cn:sns:cn-north-1:{ACCOUNT}:failed"},
        ),
        ("arn:aws:s3:::failed-orders", "s3", {"bucket": "failed-orders"}),
        ("s3://failed-orders", "s3", {"bucket": "failed-orders"}),
        ("s3://failed-orders/", "s3", {"bucket": "failed-orders"}),
        (
            f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:failed:live",
            "lambda",
            {"arn": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:failed:live"},
        ),
        (
            f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/failed",
            "eventbridge",
            {"arn": f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/failed"},
        ),
        ("http://failed.internal:8080/in", "http", {"url": "http://failed.internal:8080/in"}),
        ("https://queue.example.com/in", "http", {"url": "https://queue.example.com/in"}),
        ("kafka://failed", "kafka", {"topic": "failed"}),
        (
            "kafka://b1:9092,b2:9092/failed",
            "kafka",
            {"bootstrap_servers": "b1:9092,b2:9092", "topic": "failed"},
        ),
        ("file:///var/lib/esm/failed.jsonl", "file", {"path": "/var/lib/esm/failed.jsonl"}),
    ],
)
def test_one_line_is_for_one_kind(line: str, kind: str, options: dict[str, Any]) -> None:
    ((plugin, parsed),) = meant(line)
    assert (plugin.name, parsed) == (kind, options)
    plugin.options.model_validate(parsed)


@pytest.mark.parametrize(
    "line", ["failed", "kafka://b1:9092", "kafka://b1:9092/", f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/s", ""]
)
def test_what_is_for_none(line: str) -> None:
    assert meant(line) == []


@pytest.mark.parametrize(
    "line",
    [
        f"arn:aws:sqs:eu-west-1:{ACCOUNT}:failed.fifo",
        f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/failed.fifo",
        f"arn:aws:sns:eu-west-1:{ACCOUNT}:failed.fifo",
    ],
)
def test_fifo_is_refused_as_on_aws(line: str) -> None:
    ((plugin, parsed),) = meant(line)
    with pytest.raises(
        ValidationError, match=r"is a FIFO \w+, which cannot be an on-failure destination, as on AWS"
    ):
        plugin.options.model_validate(parsed)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("arn:aws:sqs:eu-west-1:1:failed", "is no ARN of a queue: write arn:aws:sqs:REGION:ACCOUNT:NAME"),
        ("arn:aws:sns:eu-west-1:failed", "is no ARN of a topic"),
        ("s3://failed-orders/folder", "is no bucket: .* without a folder"),
        ("s3://Failed_Orders", "is no bucket"),
        ("arn:aws:lambda:eu-west-1:1:failed", "is no ARN of a function"),
        (f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/failed", "is no ARN of an event bus"),
        ("https://user:password@failed.internal/", "no user or password in the URL"),
        ("http:///in", "write http"),
        ("file://failed.jsonl", "is no absolute path of a file: write file:///"),
        ("file:///var/lib/esm/", "is no absolute path of a file"),
    ],
)
def test_mistakes_are_told_with_what_is_right(line: str, said: str) -> None:
    ((plugin, parsed),) = meant(line)
    with pytest.raises(ValidationError, match=said) as caught:
        plugin.options.model_validate(parsed)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("sqs", {}),
        ("sqs", {"arn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:a", "queue_url": f"http://127.0.0.1:9324/{ACCOUNT}/a"}),
        ("sqs", {"queue_url": "http://user@127.0.0.1:9324/0/a"}),
        ("sqs", {"arn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:a", "max_bytes": 2**20 + 1}),
        ("s3", {"bucket": "failed", "expected_bucket_owner": "me"}),
        ("eventbridge", {"arn": f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/a", "source": "aws.lambda"}),
        ("http", {"url": "http://failed.internal", "headers": {"Host": "other"}}),
        ("http", {"url": "http://failed.internal", "headers": {"X-Key": "a\nb"}}),
        ("http", {"url": "http://failed.internal", "headers": {"a b": "c"}}),
        ("http", {"url": "http://failed.internal", "ca": "/ca.pem"}),
        ("http", {"url": "http://failed.internal", "timeout": 0}),
        ("file", {"path": "/failed", "rotate_at": 10}),
        ("file", {"path": "/failed", "keep": 3}),
    ],
)
def test_options_that_make_no_sense_are_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(kind, **options)


def test_a_secret_never_shows() -> None:
    options = made("http", url="http://failed.internal", headers={"Authorization": "Bearer hush"})
    assert "hush" not in repr(options)
