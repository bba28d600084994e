"""What a mapping needs on AWS: what its source, its target and its destinations say they need."""

from collections.abc import Sequence

from esm.config.models import Config, MappingConfig
from esm.plugins import Permission


def permissions_of(mapping: MappingConfig, config: Config) -> Sequence[Permission]:
    """Of source, target and destinations, in this order."""
    aws = config.settings.aws_defaults
    source, target = mapping.source, config.targets[mapping.target]
    return (
        *source.plugin.permissions(source.options, aws),
        *target.plugin.permissions(target.options, aws),
        *(need for to in mapping.on_failure.destinations for need in to.plugin.permissions(to.options, aws)),
    )
