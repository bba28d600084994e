"""A standard SQS queue as destination: the document is a message's body (SendMessage)."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from esm.clients.arns import partition_of
from esm.clients.aws import AwsOptions
from esm.destinations.aws import USUAL_MAX_BYTES, MaxBytes, Service, fitting, in_region, open_service
from esm.errors import Undeliverable
from esm.model import Finding, Notice
from esm.options import Options
from esm.plugins import DestinationContext, DestinationPlugin, Permission

_ANY_ARN = re.compile(r"arn:aws[a-z-]*:sqs:")
_ARN = re.compile(r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}(\.fifo)?")
_URL = re.compile(r"https?://[^/@]+/.+/[A-Za-z0-9_-]{1,80}(\.fifo)?")
_AT_AWS = re.compile(r"https?://(?:sqs(?:-fips)?\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.(?:amazonaws\.com|api\.aws)")
_NO_FIFO = (
    "is a FIFO queue, which cannot be an on-failure destination, as on AWS: a notice has no message group; "
    "use a standard queue"
)


def _parse(text: str) -> Mapping[str, Any] | None:
    if _ANY_ARN.match(text):
        return {"arn": text}
    return {"queue_url": text} if _AT_AWS.match(text) else None


def _queue_arn(text: str) -> str:
    match = _ARN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no ARN of a queue: write arn:aws:sqs:REGION:ACCOUNT:NAME")
    if match[1]:
        raise ValueError(f"{text!r} {_NO_FIFO}")
    return text


def _queue_url(text: str) -> str:
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError("is no URL of a queue: write https://sqs.REGION.amazonaws.com/ACCOUNT/NAME")
    if match[1]:
        raise ValueError(f"{text!r} {_NO_FIFO}")
    return text


class SqsOptions(Options):
    """A queue by `arn` or by `queue_url`; `aws` overrides the file's defaults for this queue alone.

    `max_bytes`: the queue's own MaximumMessageSize, if it is not the 256 KiB that every queue takes.
    """

    arn: Annotated[str, AfterValidator(_queue_arn)] | None = None
    queue_url: Annotated[str, AfterValidator(_queue_url)] | None = None
    max_bytes: MaxBytes = USUAL_MAX_BYTES
    aws: AwsOptions = AwsOptions()

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.arn is None) == (self.queue_url is None):
            raise ValueError("needs exactly one of `arn` and `queue_url`")
        return self

    def reach(self, defaults: Mapping[str, Any]) -> AwsOptions:
        """How to reach this queue; its own address says where."""
        if self.arn:
            return in_region(self.arn, self.aws, defaults)
        aws = self.aws.over(defaults)
        url = urlsplit(self.queue_url or "")
        found = _AT_AWS.match(self.queue_url or "")
        there = found and (found[1] or found[2])
        return aws.model_copy(
            update={
                "region": self.aws.region or there or aws.region,
                "endpoint_url": aws.endpoint_url or f"{url.scheme}://{url.netloc}",
            }
        )


class SqsDestination:
    """Implements `Destination` and `Checkable`."""

    def __init__(self, options: SqsOptions, sqs: Service) -> None:
        self._options = options
        self._sqs = sqs
        self._url = options.queue_url

    async def deliver(self, notice: Notice) -> None:
        body = fitting(notice.document, self._options.max_bytes)
        await self._sqs.call("send_message", QueueUrl=await self._address(), MessageBody=body)

    async def check(self) -> Sequence[Finding]:
        try:
            url = await self._address()
        except Undeliverable as error:
            return [Finding(broken=True, text=f"{error}: make the queue, or correct the destination")]
        names = ["MaximumMessageSize"]
        return await self._sqs.check(
            "get_queue_attributes", needs="sqs:GetQueueAttributes", QueueUrl=url, AttributeNames=names
        )

    async def _address(self) -> str:
        if self._url is None:
            *_, account, name = (self._options.arn or "").split(":")
            found = await self._sqs.call("get_queue_url", QueueName=name, QueueOwnerAWSAccountId=account)
            self._url = str(found["QueueUrl"])
        return self._url


@asynccontextmanager
async def open_sqs(options: SqsOptions, context: DestinationContext) -> AsyncIterator[SqsDestination]:
    async with open_service("sqs", "SQS", options.reach(context.aws)) as sqs:
        yield SqsDestination(options, sqs)


def _called(options: SqsOptions) -> str:
    return options.arn or options.queue_url or ""


def _permissions(options: SqsOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    reached = options.reach(aws)
    if options.arn:
        return (Permission(("sqs:GetQueueUrl", "sqs:SendMessage"), options.arn, reached.role_arn),)
    account, name = urlsplit(options.queue_url or "").path.split("/")[-2:]
    owner = account if re.fullmatch(r"\d{12}", account) else "*"
    region = reached.region or ""
    arn = f"arn:{partition_of(region)}:sqs:{region or '*'}:{owner}:{name}"
    return (Permission(("sqs:SendMessage",), arn, reached.role_arn),)


PLUGIN = DestinationPlugin("sqs", SqsOptions, _parse, open_sqs, _called, _permissions)
