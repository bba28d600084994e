"""What a good file means: defaults, casings, names, limits, warnings."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import pytest
from config_fakes import CATALOG, FIFO, ORDERS, Made, body, loaded, problems, problems_in, written
from pydantic import ValidationError

from esm.config import Catalog, Loaded, assemble, load
from esm.config.mapping_options import MappingOptions
from esm.config.mappings import identity
from esm.config.models import MappingConfig
from esm.world import real_world


def only(result: Loaded) -> MappingConfig:
    (mapping,) = result.config.mappings.values()
    return mapping


def queue(mapping: MappingConfig) -> MappingOptions:
    assert isinstance(mapping.options, MappingOptions)
    return mapping.options


def given(result: Loaded) -> MappingOptions:
    return queue(only(result))


def test_what_is_not_said_has_aws_defaults(tmp_path: Path) -> None:
    result = loaded(tmp_path, body())
    options = given(result)
    assert (options.enabled, options.batch_size, options.maximum_batching_window_in_seconds) == (True, 10, 0)
    assert (options.function_response_types, options.scaling_config.maximum_concurrency) == ((), None)
    assert (options.concurrency, options.max_hold, options.fifo_failure) == (100, 3600, "aws")
    settings = result.config.settings
    assert (settings.namespace, settings.state.url, settings.server.listen) == (
        "default",
        "memory://",
        "127.0.0.1:9464",
    )
    assert (settings.shutdown_grace, settings.log.level, settings.strict_aws) == (45, "info", False)
    assert settings.memory_limit > 0
    assert result.warnings == ()
    (target,) = result.config.targets.values()
    assert (target.options.timeout, target.limits.reserved_concurrency) == (30, None)


def test_the_top_of_the_file(tmp_path: Path) -> None:
    top = """\
    namespace: prod
    aws: {region: eu-west-1, endpoint_url: null}
    state: {url: "sqlite:///var/lib/esm/state.db"}
    server: {listen: "[::1]:0"}
    memory_limit: 512MiB
    shutdown_grace: 1m30s
    log: {level: debug, format: console}
    strict_aws: true
    mappings: {}
    """
    settings = loaded(tmp_path, top).config.settings
    assert (settings.namespace, settings.aws.region, settings.aws.endpoint_url) == ("prod", "eu-west-1", None)
    assert (settings.server.host, settings.server.port) == ("::1", 0)
    assert (settings.memory_limit, settings.shutdown_grace) == (512 * 1024 * 1024, 90)
    assert settings.state.url == "sqlite:///var/lib/esm/state.db"
    assert (settings.log.level, settings.log.format, settings.strict_aws) == ("debug", "console", True)


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("64MiB", 2**26),
        ("64Mi", 2**26),
        ("64 MB", 64_000_000),
        ("2GiB", 2**31),
        ("1g", 10**9),
        ("20000000", 2 * 10**7),
    ],
)
def test_amounts_of_memory(tmp_path: Path, text: str, bytes_: int) -> None:
    assert loaded(tmp_path, f"memory_limit: {text}\nmappings: {{}}").config.settings.memory_limit == bytes_


PASTED = f"""\
targets: {{billing: http://b/}}
mappings:
  m:
    EventSourceArn: {ORDERS}
    FunctionName: %s
    BatchSize: 100
    MaximumBatchingWindowInSeconds: 5
    FunctionResponseTypes: [ReportBatchItemFailures]
    ScalingConfig: {{MaximumConcurrency: 50}}
    FilterCriteria: {{Filters: []}}
    ProvisionedPollerConfig: {{}}
    DestinationConfig: {{OnFailure: {{Destination: ""}}}}
    Enabled: yes
"""


@pytest.mark.parametrize(
    "function",
    [
        "billing",
        "arn:aws:lambda:eu-west-1:123456789012:function:billing",
        "arn:aws:lambda:eu-west-1:123456789012:function:billing:prod",
        "123456789012:function:billing",
    ],
)
def test_cloudformation_properties_paste_in_unchanged(tmp_path: Path, function: str) -> None:
    mapping = only(loaded(tmp_path, PASTED % function))
    options = queue(mapping)
    assert mapping.target == "billing"
    assert mapping.source.options.arn == ORDERS
    assert (options.batch_size, options.maximum_batching_window_in_seconds) == (100, 5)
    assert options.scaling_config.maximum_concurrency == 50
    assert options.function_response_types == ("ReportBatchItemFailures",)
    assert options.enabled


def test_terraform_arguments_paste_in_unchanged(tmp_path: Path) -> None:
    text = f"""\
    targets: {{billing: http://b/}}
    mappings:
      m:
        event_source_arn: {ORDERS}
        function_name: billing
        batch_size: 100
        maximum_batching_window_in_seconds: 5
        scaling_config: {{maximum_concurrency: 50}}
        destination_config: {{on_failure: {{destination_arn: ""}}}}
        filter_criteria: {{filter: []}}
        starting_position: null
    """
    assert given(loaded(tmp_path, text)).scaling_config.maximum_concurrency == 50


def test_options_without_meaning_are_accepted_with_one_warning_each(tmp_path: Path) -> None:
    """D16: a pasted template works."""
    text = f"""\
    mappings:
      a: {{source: {ORDERS}, target: http://a/, Tags: [{{Key: k, Value: v}}], KMSKeyArn: x}}
      b:
        source: {ORDERS}
        target: http://b/
        tags: {{Name: v}}
        KmsKeyArn: x
        MetricsConfig: {{Metrics: [EventCount]}}
        LoggingConfig: {{SystemLogLevel: DEBUG}}
        source_access_configuration: [{{type: VPC_SUBNET, uri: subnet:1}}]
    """
    said = [warning.replace(f"{tmp_path}/", "") for warning in loaded(tmp_path, text).warnings]
    assert said == [
        "esm.yaml:2: mappings.a.Tags: a mapping is no AWS resource here; ignored (and in 1 more)",
        (
            "esm.yaml:2: mappings.a.KMSKeyArn: nothing of the mapping is stored by a service "
            "that could encrypt it; "
            "ignored (and in 1 more)"
        ),
        "esm.yaml:8: mappings.b.MetricsConfig: all metrics are always on, at /metrics; ignored",
        "esm.yaml:9: mappings.b.LoggingConfig: set the level with `log: {level: …}`; ignored",
        (
            "esm.yaml:10: mappings.b.source_access_configuration: its VPC entries have no meaning here: the "
            "engine's own network is "
            "used; ignored"
        ),
    ]


def test_defaults_go_to_every_mapping_that_allows_the_option(tmp_path: Path) -> None:
    text = f"""\
    defaults: {{MaximumBatchingWindowInSeconds: 5, fifo_failure: group, max_hold: 10m, concurrency: 7}}
    mappings:
      standard: {{source: {ORDERS}, target: http://a/}}
      fifo: {{source: {FIFO}, target: http://b/, max_hold: 1m}}
    """
    mappings = loaded(tmp_path, text).config.mappings
    standard, fifo = queue(mappings["standard"]), queue(mappings["fifo"])
    assert (standard.maximum_batching_window_in_seconds, fifo.maximum_batching_window_in_seconds) == (5, 0)
    assert (standard.fifo_failure, fifo.fifo_failure) == ("aws", "group")
    assert (standard.max_hold, fifo.max_hold) == (600, 60)
    assert (standard.concurrency, fifo.concurrency) == (7, 7)


def test_null_is_the_default_of_aws_even_where_the_file_has_another(tmp_path: Path) -> None:
    text = f"{body('batch_size: null')}defaults: {{batch_size: 5}}\n"
    assert given(loaded(tmp_path, text)).batch_size == 10


def test_what_a_mapping_says_displaces_a_default_that_excludes_it(tmp_path: Path) -> None:
    text = body("provisioned_poller_config: {minimum_pollers: 3}")
    options = given(loaded(tmp_path, f"{text}defaults: {{scaling_config: {{maximum_concurrency: 5}}}}\n"))
    assert options.scaling_config.maximum_concurrency is None
    assert options.provisioned_poller_config.minimum_pollers == 3


def test_strict_aws_of_the_file_can_be_lifted_by_a_mapping(tmp_path: Path) -> None:
    text = f"{body('fifo_failure: group', source=FIFO)}    strict_aws: false\nstrict_aws: true\n"
    assert given(loaded(tmp_path, text)).fifo_failure == "group"
    assert given(loaded(tmp_path, f"{body()}strict_aws: true\n")).strict_aws


def test_ids_derive_from_namespace_and_name(tmp_path: Path) -> None:
    """D21; frozen, because state and dashboards hang on it."""
    assert identity("default", "m") == "80faee01-40e6-5984-87a2-8cd3520c7ad8"
    assert only(loaded(tmp_path, body())).id == identity("default", "m")
    assert only(loaded(tmp_path, f"namespace: prod\n{body()}")).id == identity("prod", "m")
    assert len({identity("a", "b"), identity("b", "a"), identity("a", "a")}) == 3


def test_equal_inline_targets_stay_apart_and_named_ones_are_shared(tmp_path: Path) -> None:
    text = f"""\
    targets: {{f: {{type: http, url: http://f/, reserved_concurrency: 0}}}}
    mappings:
      a: {{source: {ORDERS}a, target: http://x/}}
      b: {{source: {ORDERS}b, target: http://x/}}
      c: {{source: {ORDERS}c, target: f}}
      d: {{source: {ORDERS}d, target: f}}
    """
    config = loaded(tmp_path, text).config
    assert {name: mapping.target for name, mapping in config.mappings.items()} == {
        "a": "a/target", "b": "b/target", "c": "f", "d": "f",
    }  # fmt: skip
    assert sorted(config.targets) == ["a/target", "b/target", "f"]
    assert config.targets["f"].limits.reserved_concurrency == 0


def test_anchors_and_merge_keys(tmp_path: Path) -> None:
    text = f"""\
    x-common: &common {{batch_size: 3, enabled: false}}
    x-more: &more {{batch_size: 4, concurrency: 9}}
    mappings:
      a: {{<<: *common, source: {ORDERS}, target: http://a/}}
      b: {{<<: [*common, *more], enabled: true, source: {ORDERS}, target: http://b/}}
      c: {{source: {ORDERS}, target: http://c/, scaling_config: &s {{maximum_concurrency: 5}}}}
      d: {{source: {ORDERS}, target: http://d/, scaling_config: *s}}
    """
    mappings = loaded(tmp_path, text).config.mappings
    assert (queue(mappings["a"]).batch_size, queue(mappings["a"]).enabled) == (3, False)
    assert (queue(mappings["b"]).batch_size, queue(mappings["b"]).enabled) == (3, True)
    assert queue(mappings["b"]).concurrency == 9
    assert queue(mappings["d"]).scaling_config.maximum_concurrency == 5


def test_a_mistake_in_an_anchor_is_said_where_the_value_stands(tmp_path: Path) -> None:
    text = f"x-a: &a\n  batch_size: 0\nmappings:\n  m: {{<<: *a, source: {ORDERS}, target: http://a/}}\n"
    assert problems(tmp_path, text) == [
        "esm.yaml:2: mappings.m.batch_size: 0 is out of range: allowed is 1 to 10000"
    ]


def test_room_for_anchors_is_not_looked_at(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"x-draft: ${{NOT_SET}}\n{body()}").config.mappings


@pytest.mark.parametrize("text", ["y: 12:30:45", "y: 2024-01-01", "y: yes", "y: 0o17", "y: 'é…'"])
def test_scalars_that_other_readers_change_are_left_as_text(tmp_path: Path, text: str) -> None:
    """YAML 1.1's sexagesimals, dates and `yes` are text here; a header needs text."""
    given = body(target=f"{{type: http, url: http://x, headers: {{{text}}}}}")
    if text == "y: 0o17":
        assert problems(tmp_path, given)
    else:
        headers = next(iter(loaded(tmp_path, given).config.targets.values())).options.headers
        assert headers["y"].get_secret_value() == text.partition(": ")[2].strip("'")


def test_everything_is_frozen(tmp_path: Path) -> None:
    config: Any = loaded(tmp_path, body()).config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.settings = None
    with pytest.raises(ValidationError):
        config.settings.namespace = "x"
    with pytest.raises(ValidationError):
        config.mappings["m"].options.batch_size = 1
    with pytest.raises(TypeError):
        config.mappings["n"] = None


def test_a_plugin_that_cannot_be_loaded_stops_only_who_names_it(tmp_path: Path) -> None:
    catalog = Catalog(CATALOG.sources, CATALOG.targets, {"smtp": "mail:PLUGIN cannot be loaded: ImportError()"})
    result = load(written(tmp_path, body()), catalog=catalog, environ={})
    assert result.warnings == ("plugin smtp: mail:PLUGIN cannot be loaded: ImportError()",)


def test_the_installed_plugins_are_found() -> None:
    catalog = Catalog.installed()
    assert not catalog.faults
    assert set(catalog.sources) >= {"sqs"}
    assert set(catalog.targets) >= {"http", "python"}


def test_a_directory_is_one_configuration(tmp_path: Path) -> None:
    written(tmp_path, "namespace: prod\ntargets: {f: http://f/}\n", "conf/a.yaml")
    written(tmp_path, f"mappings: {{a: {{source: {ORDERS}, target: f}}}}\n", "conf/b.yml")
    written(tmp_path, f"mappings: {{b: {{source: {FIFO}, target: f}}}}\n", "conf/team/c.yaml")
    written(tmp_path, "# nothing yet\n", "conf/d.yaml")
    for ignored in ("conf/.e.yaml", "conf/f.txt", "conf/g.yaml~", "conf/.git/h.yaml", "conf/README"):
        written(tmp_path, "][", ignored)
    (tmp_path / "conf/loop").symlink_to(tmp_path / "conf")
    config = load(tmp_path / "conf", catalog=CATALOG, environ={}).config
    assert (sorted(config.mappings), config.settings.namespace) == (["a", "b"], "prod")


def test_a_mounted_configmap_is_read_once(tmp_path: Path) -> None:
    """Kubernetes: visible links to `..data/…`, `..data` a link to a folder that is swapped."""
    written(tmp_path, body(), "conf/..2026_01_01/esm.yaml")
    (tmp_path / "conf/..data").symlink_to("..2026_01_01")
    (tmp_path / "conf/esm.yaml").symlink_to("..data/esm.yaml")
    assert list(load(tmp_path / "conf", catalog=CATALOG, environ={}).config.mappings) == ["m"]


def test_what_two_files_both_say_names_both(tmp_path: Path) -> None:
    written(tmp_path, f"namespace: a\ntargets: {{f: http://f/}}\n{body()}", "conf/a.yaml")
    written(tmp_path, f"namespace: b\n\ntargets: {{f: http://f/}}\n{body()}", "conf/b.yaml")
    assert problems_in(tmp_path / "conf", tmp_path) == [
        "conf/b.yaml:1: namespace: given twice: first in conf/a.yaml:1",
        "conf/b.yaml:3: targets.f: given twice: first in conf/a.yaml:2",
        "conf/b.yaml:5: mappings.m: given twice: first in conf/a.yaml:4",
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert problems_in(tmp_path / "no.yaml", tmp_path) == ["no.yaml:1: cannot be read: No such file or directory"]
    (tmp_path / "empty").mkdir()
    assert problems_in(tmp_path / "empty", tmp_path) == [
        "empty:1: no configuration here: a directory needs a file *.yaml or *.yml"
    ]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/a.yaml").symlink_to("nowhere")
    assert problems_in(tmp_path / "broken", tmp_path) == [
        "broken/a.yaml:1: cannot be read: No such file or directory"
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    written(tmp_path, body()).chmod(0)
    assert problems_in(tmp_path / "esm.yaml", tmp_path) == ["esm.yaml:1: cannot be read: Permission denied"]


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"mappings:\n  \xff\xfe: 1\n")
    assert problems_in(tmp_path / "a.yaml", tmp_path) == ["a.yaml:2: is no UTF-8 text"]
    (tmp_path / "b.yaml").write_bytes(b"\x7fELF\x00\x00")
    (said,) = problems_in(tmp_path / "b.yaml", tmp_path)
    assert re.match(r"b\.yaml:1: is no YAML: ", said)
    (tmp_path / "c.yaml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    assert problems_in(tmp_path / "c.yaml", tmp_path) == [
        "c.yaml:1: is larger than 4 MiB: split it into a directory"
    ]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "esm.yaml"
    file.write_text(body(), encoding="utf-8-sig")
    assert load(file, catalog=CATALOG, environ={}).config.mappings


def test_one_broken_file_of_a_directory_is_all_that_is_said(tmp_path: Path) -> None:
    """What it defines would seem to be missing elsewhere."""
    written(tmp_path, "targets: {f: http://f/\n", "conf/a.yaml")
    written(tmp_path, f"mappings: {{a: {{source: {ORDERS}, target: f}}}}\n", "conf/b.yaml")
    (said,) = problems_in(tmp_path / "conf", tmp_path)
    assert said.startswith("conf/a.yaml:")


def test_the_made_things_get_their_context(tmp_path: Path) -> None:
    result = loaded(tmp_path, f"aws: {{region: eu-west-1}}\n{body('maximum_batching_window_in_seconds: 5s')}")
    source = assemble(result.config, world=real_world()).mappings["m"].source
    assert isinstance(source, Made)
    assert (source.context.mapping, source.context.aws, source.context.window) == ("m", {"region": "eu-west-1"}, 5)
