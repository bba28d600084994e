"""An S3 bucket as destination: one object for each notice, with the whole event in it (PutObject).

Key and content are AWS's (Lambda guide, "Retain records of failed invocations"), so what reads them there reads
them here.
"""

import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, Field

from esm.clients.arns import partition_of
from esm.clients.aws import AwsOptions
from esm.core.notice import text_of, with_payload
from esm.destinations.aws import Service, open_service
from esm.model import Finding, Notice
from esm.options import Options
from esm.plugins import DestinationContext, DestinationPlugin, Permission

_LINE = re.compile(r"(?:arn:aws[a-z-]*:s3:::|s3://)(.*)")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def _parse(text: str) -> Mapping[str, Any] | None:
    match = _LINE.fullmatch(text)
    return {"bucket": match[1].removesuffix("/")} if match else None


def _bucket(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is no bucket: write arn:aws:s3:::NAME or s3://NAME, without a folder: the keys are AWS's"
        )
    return text


class S3Options(Options):
    """`expected_bucket_owner`: the account that has to own the bucket, so that no stranger's is written to."""

    bucket: Annotated[str, AfterValidator(_bucket)]
    expected_bucket_owner: Annotated[str, Field(pattern=r"^\d{12}$")] | None = None
    aws: AwsOptions = AwsOptions()


class S3Destination:
    """Implements `Destination` and `Checkable`. `make_id` ends the name of an object."""

    def __init__(self, options: S3Options, s3: Service, make_id: Callable[[], str]) -> None:
        self._to = {"Bucket": options.bucket}
        if options.expected_bucket_owner:
            self._to["ExpectedBucketOwner"] = options.expected_bucket_owner
        self._s3 = s3
        self._make_id = make_id

    async def deliver(self, notice: Notice) -> None:
        key = key_of(notice, self._make_id())
        body = text_of(with_payload(notice)).encode()
        await self._s3.call("put_object", **self._to, Key=key, Body=body, ContentType="application/json")

    async def check(self) -> Sequence[Finding]:
        return await self._s3.check("head_bucket", needs="s3:ListBucket", **self._to)


def key_of(notice: Notice, name: str) -> str:
    """Where AWS puts it: by mapping, lane and day, and named after the document's own time, cut to seconds."""
    second = str(notice.document["timestamp"])[:19]
    day = second[:10].replace("-", "/")
    lane = quote(notice.lane, safe="!-_.*'()")  # a lane's name may hold anything, a shard's never does
    return f"aws/lambda/{notice.scope}/{lane}/{day}/{second.replace(':', '.')}-{name}"


@asynccontextmanager
async def open_s3(options: S3Options, context: DestinationContext) -> AsyncIterator[S3Destination]:
    async with open_service("s3", "S3", options.aws.over(context.aws)) as s3:
        yield S3Destination(options, s3, lambda: str(uuid.uuid4()))


def _called(options: S3Options) -> str:
    return f"s3://{options.bucket}"


def _permissions(options: S3Options, aws: Mapping[str, Any]) -> Sequence[Permission]:
    reached = options.aws.over(aws)
    objects = f"arn:{partition_of(reached.region or '')}:s3:::{options.bucket}/aws/lambda/*"
    return (Permission(("s3:PutObject",), objects, reached.role_arn),)


PLUGIN = DestinationPlugin("s3", S3Options, _parse, open_s3, _called, _permissions)
