"""The options of a DynamoDB Streams source: one stream by its ARN, or a table, whose latest stream is followed."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from esm.clients.aws import AwsOptions
from esm.options import Options

_ANY_ARN = re.compile(r"arn:aws(-[a-z]+)*:dynamodb:")
_STREAM = re.compile(
    r"arn:aws(?:-[a-z]+)*:dynamodb:(?P<region>[a-z0-9-]+):\d{12}:table/(?P<table>[A-Za-z0-9_.-]{3,255})/stream/\S+"
)


def parse(text: str) -> Mapping[str, Any] | None:
    """Options for a stream named in one line, None if this names nothing of DynamoDB."""
    return {"stream": text} if _ANY_ARN.match(text) else None


def _stream_arn(text: str) -> str:
    if not _STREAM.fullmatch(text):
        raise ValueError(
            f"{text!r} is no ARN of a stream: write arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL; to "
            "follow whatever stream a table has, write `{type: dynamodb, table: NAME}`"
        )
    return text


def _table_name(value: object) -> object:
    """The table's ARN is what consoles and templates give for it."""
    _, table, name = str(value).partition(":table/")
    if table:
        raise ValueError(f"{value!r} is an ARN: write the table's name, {name.partition('/')[0]}")
    return value


class DynamoOptions(Options):
    """One stream by its ARN (`stream`), or the streams of a `table` by its name, the latest and those before it.

    `aws` overrides the file's defaults for this source alone.
    """

    stream: Annotated[str, AfterValidator(_stream_arn)] | None = None
    table: Annotated[str, BeforeValidator(_table_name), Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")] | None = None
    aws: AwsOptions = AwsOptions()

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.stream is None) == (self.table is None):
            raise ValueError("needs exactly one of `stream` and `table`")
        return self

    @property
    def called(self) -> str:
        """How people are told of it."""
        return self.stream or f"table {self.table}"

    def reach(self, defaults: Mapping[str, Any]) -> AwsOptions:
        """How to reach it: an ARN says where, `aws` and `defaults` say the rest."""
        aws = self.aws.over(defaults)
        return aws.model_copy(update={"region": self.stream.split(":")[3]}) if self.stream else aws
