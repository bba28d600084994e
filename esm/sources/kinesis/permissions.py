"""What a stream has to allow whoever reads it; an encrypted one also asks for `kms:Decrypt` on its key.

https://docs.aws.amazon.com/streams/latest/dev/controlling-access.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from esm.clients.arns import partition_of
from esm.plugins import Permission
from esm.sources.kinesis.options import KinesisOptions

ACTIONS = (
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
)


def permissions(options: KinesisOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    """`aws`: the file's defaults."""
    reached = options.reach(aws)
    region = reached.region or ""
    arn = options.arn or f"arn:{partition_of(region)}:kinesis:{region or '*'}:*:stream/{options.name}"
    return (Permission(ACTIONS, arn, reached.role_arn),)
