"""What a function has to allow whoever invokes it: that function, and no version or alias but the one named.

A bare name means a function of whoever calls, so the account of a role that is assumed is the function's.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from esm.plugins import Permission
from esm.targets.lambda_.options import Function, LambdaOptions


def permissions(options: LambdaOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    """`aws`: the file's defaults. `esm validate --connect` does with this too."""
    reached = options.reach(aws)
    function = options.function
    if function.account is None and reached.role_arn is not None:
        function = structs.replace(function, account=reached.role_arn.split(":")[4])
    return (Permission(("lambda:InvokeFunction",), _resource(function, reached.region), reached.role_arn),)


def _resource(function: Function, region: str | None) -> str:
    arn = function.arn(region or "*")
    return arn if function.qualifier is None else f"{arn}:{function.qualifier}"
