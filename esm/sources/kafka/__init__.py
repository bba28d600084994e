"""Topics of Apache Kafka, Amazon MSK and whatever speaks Kafka's protocol, shared out by a consumer group."""

from esm.clients.aws import lease
from esm.clients.kafka.msk import NO_SIGNER, has_signer
from esm.core.filtering import KAFKA
from esm.plugins import Kind, SourceContext, SourcePlugin
from esm.sources.begin import begin_of
from esm.sources.kafka.options import KafkaOptions, parse
from esm.sources.kafka.permissions import permissions
from esm.sources.kafka.source import KafkaSource

__all__ = ["PLUGIN", "KafkaOptions", "KafkaSource"]


def _kind(options: KafkaOptions) -> Kind:
    return Kind.MSK if options.cluster_arn else Kind.KAFKA


def _make(options: KafkaOptions, context: SourceContext) -> KafkaSource:
    begin = begin_of(context, "topic")
    if options.identity is not None and options.identity.mechanism == "AWS_MSK_IAM" and not has_signer():
        raise ValueError(NO_SIGNER)
    group = options.consumer_group_id or context.id
    return KafkaSource(options, options.reach(context.aws), lease, group=group, begin=begin, world=context.world)


PLUGIN = SourcePlugin(
    name="kafka",
    options=KafkaOptions,
    parse=parse,
    kind=_kind,
    make=_make,
    data_keys=KAFKA,
    permissions=permissions,
)
