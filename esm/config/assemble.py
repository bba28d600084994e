"""From the configuration to the engine's plan: sources made, targets ready to be opened. No I/O."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from esm.config.models import Config, MappingConfig, Settings, TargetConfig
from esm.core.filtering import FilterSet
from esm.plugins import SourceContext, TargetContext
from esm.ports import QueueSource, Target
from esm.runtime.plan import EnginePlan, MappingPlan, QueueOptions, TargetPlan
from esm.targets.rate import Rate


def assemble(config: Config, *, monotonic: Callable[[], float]) -> EnginePlan:
    """`monotonic` is the engine's clock, in seconds."""
    return EnginePlan(
        mappings={
            name: _mapping(mapping, config.targets[mapping.target], config.settings, monotonic)
            for name, mapping in config.mappings.items()
        },
        targets={name: _target(target, config.settings) for name, target in config.targets.items()},
        memory_limit=config.settings.memory_limit,
        maximum_concurrency=config.settings.maximum_concurrency,
    )


def source_of(
    mapping: MappingConfig, target: TargetConfig, settings: Settings, monotonic: Callable[[], float]
) -> QueueSource:
    """Raises ValueError when the plugin finds that options make no sense together."""
    given = mapping.options
    context = SourceContext(
        mapping=mapping.name,
        aws=settings.aws_defaults,
        window=given.maximum_batching_window_in_seconds,
        monotonic=monotonic,
        timeout=target.options.timeout,
        held=given.batch_size * given.ceiling,
    )
    return mapping.source.plugin.make(mapping.source.options, context)


def target_of(target: TargetConfig, settings: Settings) -> AbstractAsyncContextManager[Target]:
    """The target as its plugin makes it, not yet opened. Raises ValueError as `source_of` does."""
    return target.plugin.open(target.options, TargetContext(target.name, settings.aws_defaults))


def _mapping(
    mapping: MappingConfig, target: TargetConfig, settings: Settings, monotonic: Callable[[], float]
) -> MappingPlan:
    return MappingPlan(
        name=mapping.name,
        id=mapping.id,
        enabled=mapping.options.enabled,
        source=source_of(mapping, target, settings, monotonic),
        target=mapping.target,
        options=_queue_options(mapping),
        filters=_filters(mapping),
    )


def _filters(mapping: MappingConfig) -> FilterSet | None:
    patterns = [given.pattern for given in mapping.options.filter_criteria.filters]
    strict = mapping.options.strict_aws
    return FilterSet(patterns, mapping.source.plugin.data_keys, strict=strict) if patterns else None


def _queue_options(mapping: MappingConfig) -> QueueOptions:
    given = mapping.options
    standard = QueueOptions()
    least, most = given.provisioned_poller_config.bounds or (standard.minimum_pollers, standard.maximum_pollers)
    return QueueOptions(
        batch_size=given.batch_size,
        window=given.maximum_batching_window_in_seconds,
        reports_failures="ReportBatchItemFailures" in given.function_response_types,
        whole_groups=given.fifo_failure == "group",
        concurrency=given.ceiling,
        starts_at=min(standard.starts_at, given.ceiling),
        minimum_pollers=least,
        maximum_pollers=most,
        max_hold=given.max_hold,
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
