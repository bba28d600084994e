"""From the configuration to the engine's plan: sources made, targets ready to be opened. No I/O."""

from functools import partial
from typing import cast

from esm.config.aws_options import STREAMS
from esm.config.making import source_of, target_of
from esm.config.mapping_options import MappingOptions
from esm.config.models import Config, MappingConfig, Settings, TargetConfig
from esm.config.on_failure import destinations_of, function_of
from esm.config.stream_options import StreamOptions
from esm.core.filtering import FilterSet
from esm.ports import GroupSource, LogSource, QueueSource
from esm.runtime.plan import EnginePlan, LogOptions, LogPlan, QueueOptions, QueuePlan, TargetPlan
from esm.stores import open_store
from esm.targets.rate import Rate
from esm.world import World


def assemble(config: Config, *, world: World) -> EnginePlan:
    """`world` is what sources are given."""
    return EnginePlan(
        mappings={
            name: _mapping(mapping, config.targets[mapping.target], config.settings, world)
            for name, mapping in config.mappings.items()
        },
        targets={name: _target(target, config.settings) for name, target in config.targets.items()},
        memory_limit=config.settings.memory_limit,
        maximum_concurrency=config.settings.maximum_concurrency,
        store=partial(open_store, config.settings.state.url) if has_positions(config) else None,
    )


def has_positions(config: Config) -> bool:
    """A file of positions is nothing to be made, or to fail, where there are only queues and topics."""
    return any(mapping.source.kind in STREAMS for mapping in config.mappings.values())


def _mapping(
    mapping: MappingConfig, target: TargetConfig, settings: Settings, world: World
) -> QueuePlan | LogPlan:
    source = source_of(mapping, target, settings, world)
    if isinstance(mapping.options, MappingOptions):
        return _queue(mapping, mapping.options, cast("QueueSource", source))
    return LogPlan(
        name=mapping.name,
        id=mapping.id,
        enabled=mapping.options.enabled,
        source=cast("LogSource | GroupSource", source),
        target=mapping.target,
        options=_log_options(mapping.options),
        on_failure=destinations_of(mapping.on_failure, settings),
        function=function_of(target),
        annotate=mapping.on_failure.annotate,
        filters=_filters(mapping),
    )


def _queue(mapping: MappingConfig, options: MappingOptions, source: QueueSource) -> QueuePlan:
    return QueuePlan(
        name=mapping.name,
        id=mapping.id,
        enabled=options.enabled,
        source=source,
        target=mapping.target,
        options=_queue_options(options),
        filters=_filters(mapping),
    )


def _filters(mapping: MappingConfig) -> FilterSet | None:
    patterns = [given.pattern for given in mapping.options.filter_criteria.filters]
    strict = mapping.options.strict_aws
    return FilterSet(patterns, mapping.source.plugin.data_keys, strict=strict) if patterns else None


def _queue_options(given: MappingOptions) -> QueueOptions:
    standard = QueueOptions()
    least, most = given.provisioned_poller_config.bounds or (standard.minimum_pollers, standard.maximum_pollers)
    return QueueOptions(
        batch_size=given.batch_size,
        window=given.maximum_batching_window_in_seconds,
        reports_failures=bool(given.function_response_types),
        whole_groups=given.fifo_failure == "group",
        concurrency=given.ceiling,
        starts_at=min(standard.starts_at, given.ceiling),
        minimum_pollers=least,
        maximum_pollers=most,
        max_hold=given.max_hold,
    )


def _log_options(given: StreamOptions) -> LogOptions:
    return LogOptions(
        batch_size=given.batch_size,
        window=given.maximum_batching_window_in_seconds,
        parallelization_factor=given.parallelization_factor,
        maximum_retry_attempts=given.retries,
        maximum_record_age=given.oldest,
        bisect=given.bisect_batch_on_function_error,
        reports_failures=bool(given.function_response_types),
        checkpoint_interval=given.checkpoint_interval,
    )


def _target(target: TargetConfig, settings: Settings) -> TargetPlan:
    rate = target.limits.invocations_per_second
    reserved = target.limits.reserved_concurrency
    return TargetPlan(
        name=target.name,
        open=partial(target_of, target, settings),
        reserved_concurrency=target.plugin.slots(target.options) if reserved is None else reserved,
        pace=None if rate is None else Rate(rate),
    )
