"""Which kinds of sources, targets and destinations there are: the installed plugins, by the names they registered.

A plugin that cannot be loaded stops nobody who does not use it; whoever names it is told why it is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Self, TypeVar

from esm.plugins import DestinationPlugin, SourcePlugin, TargetPlugin

P = TypeVar("P", SourcePlugin, TargetPlugin, DestinationPlugin)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Plugins by name; `faults` says by name why one that is installed cannot be used."""

    sources: Mapping[str, SourcePlugin]
    targets: Mapping[str, TargetPlugin]
    faults: Mapping[str, str] = field(default_factory=dict)
    destinations: Mapping[str, DestinationPlugin] = field(default_factory=dict)

    @classmethod
    def installed(cls) -> Self:
        """From the entry-point groups `esm.sources`, `esm.targets` and `esm.destinations`."""
        faults: dict[str, str] = {}
        sources = _loaded(entry_points(group="esm.sources"), SourcePlugin, faults)
        targets = _loaded(entry_points(group="esm.targets"), TargetPlugin, faults)
        destinations = _loaded(entry_points(group="esm.destinations"), DestinationPlugin, faults)
        return cls(sources, targets, faults, destinations)


def one_line(plugins: Mapping[str, P], text: str) -> tuple[P, Mapping[str, Any]] | None:
    """The plugin that knows this one-line form, with the options it stands for; None if none does."""
    for plugin in plugins.values():
        options = plugin.parse(text)
        if options is not None:
            return plugin, options
    return None


def _loaded(points: Iterable[EntryPoint], kind: type[P], faults: dict[str, str]) -> dict[str, P]:
    found: dict[str, P] = {}
    for point in sorted(points, key=lambda point: point.name):
        try:
            plugin = point.load()
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises on import is its fault, not ours
            faults[point.name] = f"{point.value} cannot be loaded: {error!r}"
            continue
        if not isinstance(plugin, kind):
            faults[point.name] = f"{point.value} is no {kind.__name__}"
        elif point.name in found:
            faults[point.name] = f"two distributions offer it; {point.value} is not used"
        else:
            found[point.name] = plugin
    return found
