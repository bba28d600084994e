"""One queue as its attributes describe it: where it is, on what terms it hands out messages, what it is like."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from msgspec import Struct

from esm.clients.aws_errors import translated
from esm.model import Backlog, Terms
from esm.sources.sqs.options import SqsOptions

PAGE = 10
"""The most messages of one receive, and the most entries of one batch call (SQS quotas)."""

_LONGEST_VISIBILITY = 43_200.0
_DEFAULT_VISIBILITY = 30.0
_DEFAULT_RETENTION = 345_600.0
SHORTEST_VISIBILITY = 1.0
"""Seconds for which a message is asked for where the queue's own timeout is 0: nothing can be held for 0."""
_IN_FLIGHT_STANDARD = 120_000
_IN_FLIGHT_FIFO = 20_000


class Queue(Struct, frozen=True):
    """Where a queue is. `arn` is the one in events, `wait` the seconds of a long poll."""

    url: str
    arn: str
    fifo: bool
    wait: float


class QueueFacts(Struct, frozen=True):
    """What a check compares the mapping with. Durations in seconds.

    `max_receives` is None without a redrive policy. `in_flight_limit` is the SQS quota for messages received
    and not yet deleted; 20,000 for FIFO is the lower of the values AWS has documented.
    """

    arn: str
    visibility: float
    retention: float
    max_receives: int | None
    in_flight_limit: int


async def find(sqs: Any, options: SqsOptions) -> tuple[Queue, Mapping[str, str]]:
    """The queue and its attributes. Raises `Disconnected` if it is missing, denied or unreachable."""
    url = options.queue_url or await _url_of(sqs, options)
    attributes = await attributes_of(sqs, url, options.arn)
    arn = options.arn or attributes.get("QueueArn") or _arn_from(sqs.meta.region_name, options)
    return Queue(url, arn, options.fifo, options.wait_time_seconds), attributes


async def attributes_of(sqs: Any, url: str, arn: str | None) -> Mapping[str, str]:
    """All attributes, as text. Raises `Disconnected`, which names a missing queue by its ARN, or else its URL."""
    with translated("SQS", arn or _shown(url)):
        answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return dict(answer.get("Attributes") or {})


def terms_of(attributes: Mapping[str, str]) -> Terms:
    """The terms, with SQS's defaults for what a server does not tell."""
    return Terms(
        visibility=max(SHORTEST_VISIBILITY, _visibility(attributes)),
        longest=_LONGEST_VISIBILITY,
        retention=float(int(attributes.get("MessageRetentionPeriod", _DEFAULT_RETENTION))),
        page=PAGE,
    )


def backlog_of(attributes: Mapping[str, str]) -> Backlog:
    """How much waits and how much is in flight, approximately, as SQS counts."""
    return Backlog(
        visible=_number(attributes.get("ApproximateNumberOfMessages")),
        in_flight=_number(attributes.get("ApproximateNumberOfMessagesNotVisible")),
    )


def facts_of(queue: Queue, attributes: Mapping[str, str]) -> QueueFacts:
    """Everything worth comparing a mapping with."""
    terms = terms_of(attributes)
    return QueueFacts(
        arn=queue.arn,
        visibility=_visibility(attributes),
        retention=terms.retention,
        max_receives=_max_receives(attributes.get("RedrivePolicy")),
        in_flight_limit=_IN_FLIGHT_FIFO if queue.fifo else _IN_FLIGHT_STANDARD,
    )


async def _url_of(sqs: Any, options: SqsOptions) -> str:
    with translated("SQS", options.arn or ""):
        answer = await sqs.get_queue_url(QueueName=options.name, QueueOwnerAWSAccountId=options.account)
        return str(answer["QueueUrl"])


def _shown(url: str) -> str:
    """Without user information and query, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _visibility(attributes: Mapping[str, str]) -> float:
    return float(int(attributes.get("VisibilityTimeout", _DEFAULT_VISIBILITY)))


def _arn_from(region: str, options: SqsOptions) -> str:
    """For servers that do not tell the ARN of a queue."""
    return f"arn:aws:sqs:{region}:{options.account}:{options.name}"


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _max_receives(policy: str | None) -> int | None:
    """From the redrive policy, a JSON text in which AWS writes the number as a number and others as text."""
    return int(orjson.loads(policy)["maxReceiveCount"]) if policy else None
