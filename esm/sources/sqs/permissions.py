"""What a queue has to allow whoever reads it; a call for a batch needs the action of the single one.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from esm.clients.arns import partition_of
from esm.plugins import Permission
from esm.sources.sqs.options import SqsOptions

ACTIONS = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
_BY_ARN = "sqs:GetQueueUrl"  # an ARN has to be looked up


def permissions(options: SqsOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    """`aws`: the file's defaults."""
    reached = options.reach(aws)
    actions = ACTIONS if options.arn is None else tuple(sorted((*ACTIONS, _BY_ARN)))
    return (Permission(actions, options.arn or _arn(options, reached.region), reached.role_arn),)


def _arn(options: SqsOptions, region: str | None) -> str:
    """Other servers than AWS have anything in the place of the account."""
    account = options.account if re.fullmatch(r"\d{12}", options.account) else "*"
    return f"arn:{partition_of(region or '')}:sqs:{region or '*'}:{account}:{options.name}"
