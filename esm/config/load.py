"""From files to a checked configuration, or to everything that is wrong with it at once.

Read, interpolate, then settings, targets and mappings; each step goes on past mistakes as long as
what follows from them would not be mistakes of its own.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from esm.config.casing import canonical
from esm.config.catalog import Catalog
from esm.config.components import Components
from esm.config.explain import validated
from esm.config.files import read
from esm.config.interpolate import interpolate
from esm.config.mappings import ENDS, Mappings, defaults, names
from esm.config.models import Config, MappingConfig, Settings, TargetConfig
from esm.config.nodes import Node
from esm.config.report import Report
from esm.config.rules import HERE, Support

_SECTIONS = ("defaults", "targets", "mappings")
_OF_A_MAPPING = {*HERE, *ENDS} - Settings.model_fields.keys()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that holds, and what its author should still know. `root` is the files' content."""

    config: Config
    warnings: tuple[str, ...]
    root: Node = field(repr=False)

    def place_of(self, steps: Sequence[str | int]) -> str:
        """`file:line` of a value, or of the nearest around it; `steps` have AWS's names in snake_case."""
        node = self.root
        for step in steps:
            child = _step(node, step)
            if child is None:
                break
            node = child
        return f"{node.file}:{node.line}"


def load(path: Path, *, catalog: Catalog | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read a file or a directory. No I/O besides: nothing is connected to.

    `catalog` is what is installed and `environ` the process's environment, unless given. Raises ConfigError with
    every problem.
    """
    report = Report()
    root = interpolate(read(path, report), os.environ if environ is None else environ, report)
    config = _config(root, catalog or Catalog.installed(), report)
    report.raise_if_any()
    return Loaded(config, report.warnings, root)


def _config(root: Node, catalog: Catalog, report: Report) -> Config:
    for name, fault in catalog.faults.items():
        report.notice(f"plugin {name}: {fault}")
    stray = _stray(root, report)
    settings = validated(Settings, root.without(*_SECTIONS, *stray), report, also=_SECTIONS) or Settings()
    components = Components(catalog, settings, report)
    targets = _targets(_section(root, "targets"), components)
    mappings = _mappings(root, components, settings, targets)
    made = {name: target for name, target in targets.items() if target is not None}
    return Config(settings, MappingProxyType(made), MappingProxyType(mappings))


def _step(node: Node, step: str | int) -> Node | None:
    """In whatever casing the file has it."""
    if isinstance(step, int):
        return node.items[step] if step < len(node.items) else None
    return next((child for key, child in node.entries.items() if step in {key, canonical(key)}), None)


def _stray(root: Node, report: Report) -> list[str]:
    """What stands at the top and belongs to a mapping, or to a whole template of CloudFormation."""
    if "Resources" in root.entries:
        into = "paste the `Properties` of each AWS::Lambda::EventSourceMapping below mappings.NAME"
        report.problem(root.entries["Resources"], f"is of a CloudFormation template: {into}")
        return [key for key in root.entries if key[:1].isupper()]
    stray = [key for key in root.entries if canonical(key) in _OF_A_MAPPING]
    for key in stray:
        anywhere = "" if canonical(key) in ENDS else ", or in `defaults`"
        report.problem(root.entries[key], f"is an option of a mapping: put it below mappings.NAME{anywhere}")
    return stray


def _targets(section: Node, components: Components) -> dict[str, TargetConfig | None]:
    return {name: components.target(node, name) for name, node in names(section, components.report)}


def _mappings(
    root: Node, components: Components, settings: Settings, targets: dict[str, TargetConfig | None]
) -> dict[str, MappingConfig]:
    report, support = components.report, Support(components.report)
    common = defaults(_section(root, "defaults"), support, report)
    resolver = Mappings(components, settings, targets, _with_strict(common, root), support, report)
    made = {}
    for name, node in names(_section(root, "mappings"), report):
        mapping = resolver.mapping(name, node)
        if mapping is not None:
            made[name] = mapping
    if "mappings" not in root.entries:
        report.problem(root, "is required but missing: a name with `source` and `target`", under="mappings")
    resolver.check_defaults()
    support.warn()
    return made


def _with_strict(common: Node, root: Node) -> Node:
    """The file's `strict_aws` holds for every mapping that does not say otherwise."""
    strict = {"strict_aws": root.entries["strict_aws"]} if "strict_aws" in root.entries else {}
    return common.holding({**strict, **common.entries})


def _section(root: Node, name: str) -> Node:
    return root.entries.get(name, root.holding({}))
