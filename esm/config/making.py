"""What a component's plugin makes of its options: no I/O, and nothing opened."""

from contextlib import AbstractAsyncContextManager

from esm.config.mapping_options import MappingOptions
from esm.config.models import MappingConfig, Settings, TargetConfig
from esm.config.stream_options import StreamOptions
from esm.plugins import SourceContext, TargetContext
from esm.ports import GroupSource, LogSource, QueueSource, Target
from esm.world import World


def source_of(
    mapping: MappingConfig, target: TargetConfig, settings: Settings, world: World
) -> QueueSource | LogSource | GroupSource:
    """Raises ValueError when the plugin finds that options make no sense together."""
    given = mapping.options
    context = SourceContext(
        mapping=mapping.name,
        aws=settings.aws_defaults,
        window=given.maximum_batching_window_in_seconds,
        world=world,
        timeout=target.options.timeout,
        held=given.batch_size * given.ceiling if isinstance(given, MappingOptions) else 0,
        starting_position=given.starting_position if isinstance(given, StreamOptions) else None,
        starting_position_timestamp=given.starting_position_timestamp
        if isinstance(given, StreamOptions)
        else None,
        id=mapping.id,
    )
    return mapping.source.plugin.make(mapping.source.options, context)


def target_of(target: TargetConfig, settings: Settings) -> AbstractAsyncContextManager[Target]:
    """The target as its plugin makes it, not yet opened. Raises ValueError as `source_of` does."""
    return target.plugin.open(target.options, TargetContext(target.name, settings.aws_defaults))
