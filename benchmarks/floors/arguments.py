"""What every floor is told on its command line."""

from __future__ import annotations

import argparse
import urllib.parse


def parse_stream() -> argparse.Namespace:
    """`batch`: records of a POST at most, and so of a read."""
    parser = argparse.ArgumentParser(description="for each shard: read, POST one Lambda Kinesis event, again")
    for name in ("endpoint", "stream-arn", "target"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    options.stream = options.stream_arn.rpartition("/")[2]
    return options


def parse_kafka() -> argparse.Namespace:
    """`consumer` are the settings of the client, `host` and `path` those of the target."""
    parser = argparse.ArgumentParser(description="consume, POST one Lambda Kafka event, commit, again")
    for name in ("bootstrap", "topic", "group", "target"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    target = urllib.parse.urlsplit(options.target)
    options.host, options.path = target.netloc, target.path
    options.consumer = {
        "bootstrap.servers": options.bootstrap,
        "group.id": options.group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    return options


def parse() -> argparse.Namespace:
    """`page` and `pages`: SQS gives 10 at most, so a larger batch is gathered from several receives.

    `wait` is that of a long poll, except where a batch is gathered: then a receive that finds nothing holds
    up the others, and waits as long as the engine's batching window.
    """
    parser = argparse.ArgumentParser(description="receive, POST one Lambda SQS event, delete, again")
    for name in ("endpoint", "queue-url", "queue-arn", "target"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--batch", type=int, default=10, help="messages of a POST; above 10, a multiple of 10")
    parser.add_argument("--window", type=int, default=0, help="seconds a receive waits where a batch is gathered")
    options = parser.parse_args()
    options.page, options.pages = min(10, options.batch), max(1, options.batch // 10)
    options.wait = 20 if options.pages == 1 else options.window
    return options
