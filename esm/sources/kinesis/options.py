"""The options of a Kinesis source, and how a stream is named in one line: by its ARN."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from esm.clients.aws import AwsOptions
from esm.core.pacing import Quota
from esm.options import Options

_ANY_ARN = re.compile(r"arn:aws(-[a-z]+)*:kinesis:")
_ARN = re.compile(r"arn:aws(?:-[a-z]+)*:kinesis:[a-z0-9-]+:\d{12}:stream/[A-Za-z0-9_.-]{1,128}")
_CONSUMER = re.compile(rf"({_ARN.pattern})/consumer/.*")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def parse(text: str) -> Mapping[str, Any] | None:
    """Options for a stream named in one line, None if this names no Kinesis stream."""
    return {"stream": text} if _ANY_ARN.match(text) else None


def _stream(text: str) -> str:
    if consumer := _CONSUMER.fullmatch(text):
        raise ValueError(
            f"{text!r} is the ARN of a consumer, and enhanced fan-out is not supported yet: write the "
            f"stream's own, {consumer[1]}, which is read with GetRecords and shares the throughput of its shards"
        )
    if not _ARN.fullmatch(text) and not _NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is no stream: write its name, up to 128 letters, digits, _, - and ., or its ARN, "
            "arn:aws:kinesis:REGION:ACCOUNT:stream/NAME"
        )
    return text


class KinesisOptions(Options):
    """A `stream` by name or ARN; `aws` overrides the file's defaults for this stream alone, `region` both.

    The two limits are what all mappings of this process together take of each shard; the defaults are all that a
    shard has (https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html).
    """

    stream: Annotated[str, AfterValidator(_stream)]
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    aws: AwsOptions = AwsOptions()
    shard_reads_per_second: float = Field(default=5.0, ge=0.1, le=1000.0)
    shard_bytes_per_second: int = Field(default=2_000_000, ge=1000)

    @property
    def arn(self) -> str | None:
        """The stream's ARN, if that was given."""
        return self.stream if _ANY_ARN.match(self.stream) else None

    @property
    def name(self) -> str:
        """The stream's own name, without account and region."""
        return self.stream.rpartition("/")[2]

    @property
    def quota(self) -> Quota:
        """What may be taken of each shard."""
        return Quota(self.shard_reads_per_second, self.shard_bytes_per_second)

    def reach(self, defaults: Mapping[str, Any]) -> AwsOptions:
        """How to reach this stream: its own ARN says where, `aws` and `defaults` say the rest."""
        aws = self.aws.over(defaults)
        region = self.arn.split(":")[3] if self.arn else self.region or aws.region
        return aws.model_copy(update={"region": region})
