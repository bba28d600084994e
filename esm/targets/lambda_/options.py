"""The options of a Lambda target, and how a function is named: as in Lambda's API, or in one line."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from msgspec import Struct
from pydantic import AfterValidator, Field, model_validator

from esm.clients.arns import partition_of
from esm.clients.aws import AwsOptions
from esm.options import TargetOptions

_ANY_ARN = re.compile(r"arn:aws[a-z-]*:lambda:")
_PARTIAL_ARN = re.compile(r"\d{12}:function:.*")
_QUALIFIER = r"\$LATEST(?:\.PUBLISHED)?|[\w-]+"
_FUNCTION = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z]+(?:-[a-z]+)+-\d):(?=\d{12}:function:))?"
    r"(?:(?P<account>\d{12}):function:)?"
    rf"(?P<name>[\w.-]{{1,140}})(?::(?P<qualifier>{_QUALIFIER}))?",
    re.ASCII,
)
_NO_FUNCTION = (
    "{!r} is no function: write its name, ACCOUNT:function:NAME or arn:aws:lambda:REGION:ACCOUNT:function:NAME, "
    "each with :QUALIFIER (a version or an alias) if wanted"
)


class Function(Struct, frozen=True):
    """A function as it was named; None where the name does not say."""

    name: str
    qualifier: str | None
    account: str | None
    region: str | None

    def address(self, region: str) -> str:
        """What Invoke takes as FunctionName: the ARN where the account is known, without the qualifier."""
        return self.name if self.account is None else self.arn(region)

    def arn(self, region: str) -> str:
        """Without the qualifier, and with `*` for an account that is not known."""
        region = self.region or region
        return f"arn:{partition_of(region)}:lambda:{region}:{self.account or '*'}:function:{self.name}"


def parse(text: str) -> Mapping[str, Any] | None:
    """Options for a function named in one line, None if this names no Lambda function."""
    if text.startswith("lambda:"):
        return {"function_name": text.removeprefix("lambda:")}
    return {"function_name": text} if _ANY_ARN.match(text) or _PARTIAL_ARN.fullmatch(text) else None


def _function(text: str) -> str:
    if _FUNCTION.fullmatch(text) is None:
        raise ValueError(_NO_FUNCTION.format(text))
    return text


class LambdaOptions(TargetOptions):
    """`function_name`: a name, a partial or a full ARN. `qualifier`: a version or alias, if not behind the name.

    `timeout`: seconds until an answer is no longer waited for; it should be above the function's own timeout,
    since the function goes on. `log_tail`: ask for the end of the function's log with each answer, which is kept
    where the function failed. `aws` overrides the file's defaults for this function alone.
    """

    function_name: Annotated[str, AfterValidator(_function)]
    qualifier: Annotated[str, Field(pattern=rf"^(?:{_QUALIFIER})$", max_length=128)] | None = None
    log_tail: bool = True
    aws: AwsOptions = AwsOptions()

    @model_validator(mode="after")
    def _one_qualifier(self) -> Self:
        match = _FUNCTION.fullmatch(self.function_name)
        if match and match["qualifier"] and self.qualifier:
            raise ValueError("the qualifier stands behind function_name already: write it once")
        return self

    @property
    def function(self) -> Function:
        match = _FUNCTION.fullmatch(self.function_name)
        if match is None:
            raise ValueError(_NO_FUNCTION.format(self.function_name))
        qualifier = self.qualifier or match["qualifier"]
        return Function(match["name"], qualifier, match["account"], match["region"])

    def reach(self, defaults: Mapping[str, Any]) -> AwsOptions:
        """How to reach Lambda: the function's ARN says in which region, `aws` and `defaults` say the rest."""
        aws = self.aws.over(defaults)
        region = self.function.region
        return aws if region is None else aws.model_copy(update={"region": region})
