"""What the function behind a function URL has to allow whoever signs for it; nothing else here is asked of AWS.

New function URLs want both actions, since October 2025
(https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html). A URL does not name its function.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from esm.clients.arns import partition_of
from esm.plugins import Permission
from esm.targets.http.options import HttpOptions

_URL_ONLY = {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}
_BY_URL = {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}


def permissions(options: HttpOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    """`aws`: the file's defaults."""
    caller = options.caller(aws)
    if caller is None:
        return ()
    function = f"arn:{partition_of(caller.region or '')}:lambda:{caller.region or '*'}:*:function:*"
    return (
        Permission(("lambda:InvokeFunctionUrl",), function, caller.role_arn, _URL_ONLY),
        Permission(("lambda:InvokeFunction",), function, caller.role_arn, _BY_URL),
    )
