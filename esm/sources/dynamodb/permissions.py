"""What has to be allowed to whoever reads a stream.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from esm.clients.arns import partition_of
from esm.plugins import Permission
from esm.sources.dynamodb.options import DynamoOptions

ACTIONS = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator")
_OF_TABLE = "dynamodb:ListStreams"


def permissions(options: DynamoOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    """`aws`: the file's defaults. A table is followed from stream to stream, so all of them are allowed."""
    reached = options.reach(aws)
    if options.stream:
        return (Permission(ACTIONS, options.stream, reached.role_arn),)
    region = reached.region
    streams = f"arn:{partition_of(region or '')}:dynamodb:{region or '*'}:*:table/{options.table}/stream/*"
    return (Permission((*ACTIONS, _OF_TABLE), streams, reached.role_arn),)
