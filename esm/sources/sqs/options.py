"""The options of an SQS source, and how a queue is named in one line: by its ARN or by its URL."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from esm.clients.aws import LONGEST_WAIT, AwsOptions
from esm.options import Duration, Options

_ANY_ARN = re.compile(r"arn:aws(-[a-z]+)*:sqs:")
_ARN = re.compile(r"arn:aws(?:-[a-z]+)*:sqs:[a-z0-9-]+:\d{12}:(?P<name>.+)")
_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+(\.fifo)?")
_ANY_URL = re.compile(r"https?://([\w-]+\.)*(sqs|queue)[.-][^/]+/")
_REGION_IN_HOST = re.compile(r"(?:^|\.)(?:sqs(?:-fips)?\.([a-z0-9-]+)|([a-z]+-[a-z-]+-\d)\.queue)\.")


def parse(text: str) -> Mapping[str, Any] | None:
    """Options for a queue named in one line, None if this names no SQS queue."""
    if _ANY_ARN.match(text):
        return {"arn": text}
    return {"queue_url": text} if _ANY_URL.match(text) else None


def _queue_arn(text: str) -> str:
    match = _ARN.fullmatch(text)
    if match is None or not _NAME.fullmatch(match["name"]):
        raise ValueError(
            f"{text!r} is no ARN of a queue: write arn:aws:sqs:REGION:ACCOUNT:NAME, with an account of 12 digits "
            "and a name of up to 80 letters, digits, - and _, ending in .fifo for a FIFO queue"
        )
    return text


def _queue_url(text: str) -> str:
    url = urlsplit(text)
    parts = url.path.strip("/").split("/")
    if url.scheme not in {"http", "https"} or not url.hostname or len(parts) < 2 or not _NAME.fullmatch(parts[-1]):
        raise ValueError("is no URL of a queue: write https://sqs.REGION.amazonaws.com/ACCOUNT/NAME")
    if url.username or url.password:
        raise ValueError("holds a user name or a password: credentials belong to `aws:` or the standard chain")
    return text


class SqsOptions(Options):
    """A queue by `arn` or by `queue_url`; `aws` overrides the file's defaults for this queue alone.

    `wait_time_seconds` is the length of a long poll.
    """

    arn: Annotated[str, AfterValidator(_queue_arn)] | None = None
    queue_url: Annotated[str, AfterValidator(_queue_url)] | None = None
    aws: AwsOptions = AwsOptions()
    wait_time_seconds: Duration = Field(default=LONGEST_WAIT, ge=1, le=LONGEST_WAIT)

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.arn is None) == (self.queue_url is None):
            raise ValueError("needs exactly one of `arn` and `queue_url`")
        return self

    @property
    def name(self) -> str:
        """The queue's own name, without account and region."""
        return self.arn.rpartition(":")[2] if self.arn else urlsplit(self.queue_url or "").path.rpartition("/")[2]

    @property
    def fifo(self) -> bool:
        """SQS requires the suffix of FIFO queues, and of no others."""
        return self.name.endswith(".fifo")

    @property
    def account(self) -> str:
        """The owner of the queue, 12 digits."""
        return self.arn.split(":")[4] if self.arn else urlsplit(self.queue_url or "").path.split("/")[-2]

    def reach(self, defaults: Mapping[str, Any]) -> AwsOptions:
        """How to reach this queue: its own address says where, `aws` and `defaults` say the rest."""
        aws = self.aws.over(defaults)
        if self.arn:
            return aws.model_copy(update={"region": self.arn.split(":")[3]})
        url = urlsplit(self.queue_url or "")
        return aws.model_copy(
            update={
                "region": self.aws.region or _region_of(url.hostname or "") or aws.region,
                "endpoint_url": aws.endpoint_url or f"{url.scheme}://{url.netloc}",
            }
        )


def _region_of(host: str) -> str | None:
    match = _REGION_IN_HOST.search(host)
    return match[1] or match[2] if match else None
