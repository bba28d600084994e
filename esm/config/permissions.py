"""What a mapping needs on AWS: what its source and its target say they need."""

from collections.abc import Sequence

from esm.config.models import Config, MappingConfig
from esm.plugins import Permission


def permissions_of(mapping: MappingConfig, config: Config) -> Sequence[Permission]:
    """Of source and target, in this order."""
    aws = config.settings.aws_defaults
    source, target = mapping.source, config.targets[mapping.target]
    return (
        *source.plugin.permissions(source.options, aws),
        *target.plugin.permissions(target.options, aws),
    )
