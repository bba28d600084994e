"""DynamoDB Streams as sources of records (DynamoDB Streams API 2012-08-10 over AWS JSON)."""

from esm.clients.aws import lease
from esm.core.filtering import DATA_KEYS
from esm.plugins import Kind, SourceContext, SourcePlugin
from esm.sources.dynamodb.options import DynamoOptions, parse
from esm.sources.dynamodb.permissions import permissions
from esm.sources.dynamodb.source import DynamoSource

__all__ = ["PLUGIN", "DynamoOptions", "DynamoSource"]

_NO_POSITION = (
    "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
    "Member must not be null."
)


def _kind(_options: DynamoOptions) -> Kind:
    return Kind.DYNAMODB


def _make(options: DynamoOptions, context: SourceContext) -> DynamoSource:
    position = context.starting_position
    if position is None:
        raise ValueError(_NO_POSITION)
    if position not in {"LATEST", "TRIM_HORIZON"}:
        raise ValueError(
            f"Unsupported starting position for arn type: {options.called}: write TRIM_HORIZON or LATEST"
        )
    return DynamoSource(
        options, options.reach(context.aws), lease, latest=position == "LATEST", world=context.world
    )


PLUGIN = SourcePlugin(
    name="dynamodb",
    options=DynamoOptions,
    parse=parse,
    kind=_kind,
    make=_make,
    data_keys=DATA_KEYS["dynamodb"],
    permissions=permissions,
)
