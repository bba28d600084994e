"""A standard SNS topic as destination: the document is the message (Publish)."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import AfterValidator

from esm.clients.aws import AwsOptions
from esm.destinations.aws import USUAL_MAX_BYTES, MaxBytes, Service, fitting, in_region, open_service
from esm.model import Finding, Notice
from esm.options import Options
from esm.plugins import DestinationContext, DestinationPlugin, Permission

_ANY_ARN = re.compile(r"arn:aws[a-z-]*:sns:")
_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")


def _parse(text: str) -> Mapping[str, Any] | None:
    return {"arn": text} if _ANY_ARN.match(text) else None


def _topic(text: str) -> str:
    match = _ARN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no ARN of a topic: write arn:aws:sns:REGION:ACCOUNT:NAME")
    if match[1]:
        raise ValueError(
            f"{text!r} is a FIFO topic, which cannot be an on-failure destination, as on AWS: a notice has no "
            "message group; use a standard topic"
        )
    return text


class SnsOptions(Options):
    """`max_bytes`: how large a message may be; SNS takes 256 KiB. `aws` as for a source."""

    arn: Annotated[str, AfterValidator(_topic)]
    max_bytes: MaxBytes = USUAL_MAX_BYTES
    aws: AwsOptions = AwsOptions()


class SnsDestination:
    """Implements `Destination` and `Checkable`."""

    def __init__(self, options: SnsOptions, sns: Service) -> None:
        self._options = options
        self._sns = sns

    async def deliver(self, notice: Notice) -> None:
        message = fitting(notice.document, self._options.max_bytes)
        await self._sns.call("publish", TopicArn=self._options.arn, Message=message)

    async def check(self) -> Sequence[Finding]:
        arn = self._options.arn
        return await self._sns.check("get_topic_attributes", needs="sns:GetTopicAttributes", TopicArn=arn)


@asynccontextmanager
async def open_sns(options: SnsOptions, context: DestinationContext) -> AsyncIterator[SnsDestination]:
    async with open_service("sns", "SNS", in_region(options.arn, options.aws, context.aws)) as sns:
        yield SnsDestination(options, sns)


def _called(options: SnsOptions) -> str:
    return options.arn


def _permissions(options: SnsOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    return (Permission(("sns:Publish",), options.arn, options.aws.over(aws).role_arn),)


PLUGIN = DestinationPlugin("sns", SnsOptions, _parse, open_sns, _called, _permissions)
