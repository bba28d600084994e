"""A function of AWS Lambda as destination: the document is its event, and nobody waits for it (Invoke, Event).

Ours: on AWS a mapping has no function as destination. The service keeps the event until the function has run.
"""

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

_ANY_ARN = re.compile(r"arn:aws[a-z-]*:lambda:")
_ARN = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]{1,64}(?::(?:\$LATEST|[\w-]{1,128}))?")


def _parse(text: str) -> Mapping[str, Any] | None:
    return {"arn": text} if _ANY_ARN.match(text) else None


def _function(text: str) -> str:
    if not _ARN.fullmatch(text):
        raise ValueError(
            f"{text!r} is no ARN of a function: write arn:aws:lambda:REGION:ACCOUNT:function:NAME, with :QUALIFIER"
            " (a version or an alias) if wanted"
        )
    return text


class LambdaOptions(Options):
    """`max_bytes`: how large an asynchronous event may be. `aws` as for a source."""

    arn: Annotated[str, AfterValidator(_function)]
    max_bytes: MaxBytes = USUAL_MAX_BYTES
    aws: AwsOptions = AwsOptions()


class LambdaDestination:
    """Implements `Destination` and `Checkable`."""

    def __init__(self, options: LambdaOptions, functions: Service) -> None:
        self._options = options
        self._functions = functions

    async def deliver(self, notice: Notice) -> None:
        event = fitting(notice.document, self._options.max_bytes).encode()
        to = {"FunctionName": self._options.arn, "InvocationType": "Event"}
        await self._functions.call("invoke", **to, Payload=event)

    async def check(self) -> Sequence[Finding]:
        """Whether it may be invoked, without doing so."""
        return await self._functions.check("invoke", FunctionName=self._options.arn, InvocationType="DryRun")


@asynccontextmanager
async def open_lambda(options: LambdaOptions, context: DestinationContext) -> AsyncIterator[LambdaDestination]:
    reach = in_region(options.arn, options.aws, context.aws)
    async with open_service("lambda", "Lambda", reach) as functions:
        yield LambdaDestination(options, functions)


def _called(options: LambdaOptions) -> str:
    return options.arn


def _permissions(options: LambdaOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    return (Permission(("lambda:InvokeFunction",), options.arn, options.aws.over(aws).role_arn),)


PLUGIN = DestinationPlugin("lambda", LambdaOptions, _parse, open_lambda, _called, _permissions)
