"""Kinesis data streams as sources of records, read with GetRecords (Amazon Kinesis API 2013-12-02)."""

from esm.clients.aws import lease
from esm.core.filtering import KINESIS
from esm.plugins import Kind, SourceContext, SourcePlugin
from esm.sources.begin import begin_of
from esm.sources.kinesis.options import KinesisOptions, parse
from esm.sources.kinesis.permissions import permissions
from esm.sources.kinesis.source import KinesisSource

__all__ = ["PLUGIN", "KinesisOptions", "KinesisSource"]


def _kind(_: KinesisOptions) -> Kind:
    return Kind.KINESIS


def _make(options: KinesisOptions, context: SourceContext) -> KinesisSource:
    begin = begin_of(context, "Kinesis stream")
    return KinesisSource(options, options.reach(context.aws), lease, begin=begin, world=context.world)


PLUGIN = SourcePlugin(
    name="kinesis",
    options=KinesisOptions,
    parse=parse,
    kind=_kind,
    make=_make,
    data_keys=KINESIS,
    permissions=permissions,
)
