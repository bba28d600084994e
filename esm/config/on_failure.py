"""`destination_config` of a mapping from a stream: from the file to destinations that can be opened."""

from collections.abc import Sequence
from functools import partial

from yarl import URL

from esm.config.aws_options import ON_SUCCESS
from esm.config.components import Components
from esm.config.explain import validated
from esm.config.models import DestinationConfig, OnFailureConfig, Settings, SourceConfig, TargetConfig
from esm.config.nodes import Node, plain
from esm.destinations.options import DestinationConfig as Shape
from esm.plugins import DestinationContext
from esm.runtime.plan import DestinationPlan


def on_failure(node: Node, source: SourceConfig, components: Components) -> OnFailureConfig | None:
    """From the node of `destination_config`, names in snake_case; None with everything wrong in the report."""
    success = node.entries.get("on_success")
    if success is not None and plain(success):
        components.report.problem(success, ON_SUCCESS)
        return None
    written = given(node)
    shape = validated(Shape, written, components.report)
    if shape is None:
        return None
    found = [components.destination(one, source) for one in _written(written)]
    known = tuple(one for one in found if one is not None)
    return OnFailureConfig(known, shape.on_failure.annotate) if len(known) == len(found) else None


def destinations_of(chosen: OnFailureConfig, settings: Settings) -> Sequence[DestinationPlan]:
    """In the order in which they are tried; nothing is opened."""
    context = DestinationContext(settings.aws.model_dump(exclude_none=True))
    return tuple(_plan(one, context) for one in chosen.destinations)


def function_of(target: TargetConfig) -> str:
    """What stands for AWS's `functionArn` in a notice: the ARN of a function, otherwise what the file calls it.

    That is the name of a target in `targets:`; one that is written inline is called by its URL or handler.
    """
    function = getattr(target.options, "function_name", "")
    if function.startswith("arn:") or "/" not in target.name:
        return str(function if function.startswith("arn:") else target.name)
    url = getattr(target.options, "url", "")
    if url:
        return str(URL(url).with_user(None).with_query(None).with_fragment(None))
    return str(function or getattr(target.options, "handler", target.name))


def _plan(chosen: DestinationConfig, context: DestinationContext) -> DestinationPlan:
    plugin, options = chosen.plugin, chosen.options
    return DestinationPlan(
        plugin.called(options), partial(plugin.open, options, context), plugin.patience(options)
    )


def given(node: Node) -> Node:
    """Without what is null, which is AWS's default, and without an empty `on_success`."""
    kept = {
        name: child for name, child in node.entries.items() if child.value is not None and name != "on_success"
    }
    if "on_failure" in kept and kept["on_failure"].entries:
        inner = kept["on_failure"]
        kept["on_failure"] = inner.holding(
            {name: one for name, one in inner.entries.items() if one.value is not None}
        )
    return node.holding(kept) if node.entries else node


def _written(node: Node) -> Sequence[Node]:
    """The destination and its fallbacks; an empty destination is none, as on AWS."""
    entries = node.entries["on_failure"].entries if "on_failure" in node.entries else {}
    first = entries.get("destination")
    if first is None or first.value == "":
        return ()
    return (first, *entries["fallback"].items) if "fallback" in entries else (first,)
