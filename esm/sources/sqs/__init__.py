"""SQS queues, standard and FIFO, as sources of records (Amazon SQS API 2012-11-05 over AWS JSON)."""

from esm.clients.aws import lease
from esm.core.filtering import SQS
from esm.plugins import Kind, SourceContext, SourcePlugin
from esm.sources.sqs.options import SqsOptions, parse
from esm.sources.sqs.permissions import permissions
from esm.sources.sqs.source import SqsSource

__all__ = ["PLUGIN", "SqsOptions", "SqsSource"]


def _kind(options: SqsOptions) -> Kind:
    return Kind.FIFO if options.fifo else Kind.SQS


def _make(options: SqsOptions, context: SourceContext) -> SqsSource:
    return SqsSource(options, context, lease)


PLUGIN = SourcePlugin(
    name="sqs",
    options=SqsOptions,
    parse=parse,
    kind=_kind,
    make=_make,
    data_keys=SQS,
    permissions=permissions,
)
