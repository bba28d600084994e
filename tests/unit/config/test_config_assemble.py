"""From the configuration to the engine's plan."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from config_fakes import FIFO, ORDERS, body, loaded

from esm.config import assemble
from esm.runtime.plan import EnginePlan, QueueOptions, QueuePlan
from esm.targets.rate import Rate
from esm.world import real_world

WORLD = real_world()


def planned(tmp_path: Path, text: str) -> EnginePlan:
    return assemble(loaded(tmp_path, text).config, world=WORLD)


def options(tmp_path: Path, text: str = "", **ends: str) -> QueueOptions:
    (mapping,) = planned(tmp_path, body(text, **ends)).mappings.values()
    assert isinstance(mapping, QueuePlan)
    return mapping.options


def test_a_plan_holds_everything(tmp_path: Path) -> None:
    text = f"""\
    namespace: prod
    aws: {{region: eu-west-1}}
    memory_limit: 64MiB
    maximum_concurrency: 250
    targets: {{f: {{type: http, url: http://f/, reserved_concurrency: 3}}}}
    mappings:
      a: {{source: {ORDERS}, target: f, enabled: false}}
      b: {{source: {FIFO}, target: http://b/}}
    """
    plan = planned(tmp_path, text)
    assert plan.memory_limit == 64 * 1024 * 1024
    assert plan.maximum_concurrency == 250
    assert (plan.mappings["a"].target, plan.mappings["a"].enabled) == ("f", False)
    assert (plan.mappings["b"].target, plan.mappings["b"].enabled) == ("b/target", True)
    assert plan.targets["f"].reserved_concurrency == 3
    assert plan.targets["b/target"].reserved_concurrency is None
    assert cast("Any", plan.mappings["a"].source).context.world is WORLD


@pytest.mark.parametrize(
    ("limits", "calls"), [("", 7), (", reserved_concurrency: 0", 0), (", reserved_concurrency: 9", 9)]
)
def test_calls_at_once_are_the_targets_slots_unless_said_otherwise(
    tmp_path: Path, limits: str, calls: int
) -> None:
    config = loaded(tmp_path, body(target=f"{{type: http, url: http://b/{limits}}}")).config
    (name, given) = next(iter(config.targets.items()))
    slotted = replace(given, plugin=replace(given.plugin, slots=lambda _: 7))
    plan = assemble(replace(config, targets={name: slotted}), world=WORLD)
    assert plan.targets[name].reserved_concurrency == calls


def test_the_options_of_a_queue(tmp_path: Path) -> None:
    given = """\
    batch_size: 100
    maximum_batching_window_in_seconds: 5
    function_response_types: [ReportBatchItemFailures]
    scaling_config: {maximum_concurrency: 50}
    max_hold: 10m
    """
    assert options(tmp_path, given) == QueueOptions(
        batch_size=100, window=5, reports_failures=True, concurrency=50, max_hold=600
    )


def test_a_source_is_told_what_its_settings_have_to_bear(tmp_path: Path) -> None:
    given = "batch_size: 5\nscaling_config: {maximum_concurrency: 20}"
    text = body(given, target="{type: http, url: http://b/, timeout: 40s}")
    (mapping,) = planned(tmp_path, text).mappings.values()
    context = cast("Any", mapping.source).context
    assert (context.timeout, context.held) == (40.0, 100)


def test_the_defaults_are_the_engines_own(tmp_path: Path) -> None:
    assert options(tmp_path) == QueueOptions()


def test_fifo_failure_group(tmp_path: Path) -> None:
    assert options(tmp_path, "fifo_failure: group", source=FIFO).whole_groups
    assert not options(tmp_path, "fifo_failure: aws", source=FIFO).whole_groups


def test_concurrency_starts_no_higher_than_its_ceiling(tmp_path: Path) -> None:
    """D18."""
    assert (options(tmp_path, "concurrency: 2").concurrency, options(tmp_path, "concurrency: 2").starts_at) == (
        2,
        2,
    )
    assert options(tmp_path, "concurrency: 20").starts_at == 5
    assert options(tmp_path, "scaling_config: {maximum_concurrency: 3}").starts_at == 3


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [
        ("{}", 1, 32),
        ("{minimum_pollers: 5}", 5, 200),
        ("{maximum_pollers: 5}", 2, 5),
        ("{minimum_pollers: 3, maximum_pollers: 3}", 3, 3),
        ("{maximum_pollers: 10000}", 2, 10_000),
    ],
)
def test_provisioned_pollers_bound_the_receive_loops(tmp_path: Path, given: str, least: int, most: int) -> None:
    """D17."""
    made = options(tmp_path, f"provisioned_poller_config: {given}")
    assert (made.minimum_pollers, made.maximum_pollers) == (least, most)


async def test_targets_are_opened_anew_each_time_and_throttled_where_asked(tmp_path: Path) -> None:
    text = f"""\
    targets:
      fast: http://f/
      slow: {{type: http, url: http://s/, invocations_per_second: 5}}
    mappings:
      a: {{source: {ORDERS}, target: fast}}
      b: {{source: {ORDERS}, target: slow}}
    """
    plan = planned(tmp_path, text)
    async with plan.targets["fast"].open() as one, plan.targets["fast"].open() as two:
        assert one is not two
        assert cast("Any", one).options.url == "http://f/"
    assert plan.targets["fast"].pace is None
    assert isinstance(plan.targets["slow"].pace, Rate)
