"""The tables of options say what the options models say, all of it and nothing else."""

from pathlib import Path
from typing import Any, get_args

import pytest
from docs_pages import CONFIGURATION, FUNCTIONS, README, blocks, code, table
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

from esm.config import load
from esm.config.fields import bounds, choices, field_at
from esm.config.mapping_options import MappingOptions, ProvisionedPollerConfig, ScalingConfig
from esm.config.models import Settings, TargetLimits
from esm.config.rules import admits
from esm.config.stream_options import StreamOptions
from esm.destinations import BUILT_IN as DESTINATIONS
from esm.destinations.options import OnFailure
from esm.errors import ConfigError
from esm.options import seconds
from esm.plugins import Kind
from esm.sources.dynamodb import DynamoOptions
from esm.sources.kafka import KafkaOptions
from esm.sources.kinesis import KinesisOptions
from esm.sources.sqs import SqsOptions
from esm.targets.http import HttpOptions
from esm.targets.lambda_ import LambdaOptions
from esm.targets.python import PythonOptions
from esm.targets.runtime import RuntimeOptions

TABLES: dict[str, type[BaseModel]] = {
    "mapping option": MappingOptions,
    "stream option": StreamOptions,
    "source option": SqsOptions,
    "kinesis option": KinesisOptions,
    "dynamodb option": DynamoOptions,
    "kafka option": KafkaOptions,
    "target option": TargetLimits,
    "http option": HttpOptions,
    "lambda option": LambdaOptions,
    "python option": PythonOptions,
    "runtime option": RuntimeOptions,
    "setting": Settings,
    "on_failure option": OnFailure,
    **{f"{plugin.name} destination": plugin.options for plugin in DESTINATIONS},
}
NESTED = {
    "scaling_config": ("maximum_concurrency",),
    "provisioned_poller_config": ("minimum_pollers", "maximum_pollers"),
}
# Two kinds of queue in the table of mappings, one column of ranges in the others.
DEFAULT_AT = dict.fromkeys(TABLES, 2) | {"mapping option": 3}
# What every mapping needs is in the README, the rest a page further.
PAGE_OF = dict.fromkeys(TABLES, CONFIGURATION) | dict.fromkeys(("mapping option", "source option"), README)
ROWS = [(kind, row) for kind in TABLES for row in table(PAGE_OF[kind], kind)]


def wanted(model: type[BaseModel]) -> set[str]:
    return {
        ".".join([name, inner] if inner else [name])
        for name in model.model_fields
        for inner in (NESTED.get(name, ("",)) if model is MappingOptions else ("",))
    }


@pytest.mark.parametrize(("heading", "model"), TABLES.items(), ids=list(TABLES))
def test_a_table_has_every_option_and_no_other(heading: str, model: type[BaseModel]) -> None:
    assert {name for row in table(PAGE_OF[heading], heading) for name in code(row[0])} == wanted(model)


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=[row[0] for _, row in ROWS])
def test_a_range_is_the_models(kind: str, row: list[str]) -> None:
    for name in code(row[0]):
        info = field_at(TABLES[kind], name.split("."))
        limits = bounds(info)
        if name == "refused_statuses":
            limits = "400 to 599"  # of its members
        if limits or row[1][:1].isdigit():
            assert row[1] == limits
        elif options := choices(info):
            assert options in row[1:3]


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=[row[0] for _, row in ROWS])
def test_a_default_is_the_models(kind: str, row: list[str]) -> None:
    said = row[DEFAULT_AT[kind]]
    for name in code(row[0]):
        info = field_at(TABLES[kind], name.split("."))
        assert info is not None
        if said == "required":
            assert info.is_required()
        elif said:
            assert value_of(said, info.annotation) == plain(info.get_default(call_default_factory=True))


def value_of(said: str, annotation: Any) -> Any:
    if said == "none":
        return None
    value = YAML(typ="safe", pure=True).load(code(said)[0])
    return seconds(value) if annotation is float or float in get_args(annotation) else value


def plain(value: Any) -> Any:
    """As YAML would say it, with nothing that is at its own default."""
    assert value is not PydanticUndefined
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, frozenset | tuple):
        return sorted(value)
    return value


@pytest.mark.parametrize("row", table(CONFIGURATION, "stream option"), ids=lambda row: row[0])
def test_a_stream_takes_what_is_in_its_table(row: list[str]) -> None:
    (name,) = code(row[0])
    assert admits(name, Kind.KINESIS)
    assert admits(name, Kind.DYNAMODB) == (name != "starting_position_timestamp")


@pytest.mark.parametrize("row", table(README, "mapping option"), ids=lambda row: row[0])
@pytest.mark.parametrize(("column", "kind"), [(1, Kind.SQS), (2, Kind.FIFO)])
def test_a_dash_means_that_the_kind_of_queue_does_not_take_it(row: list[str], column: int, kind: Kind) -> None:
    (name,) = code(row[0])
    assert (row[column] == "-") == (not admits(name.partition(".")[0], kind))


def test_fifo_batches_have_the_range_of_their_column(tmp_path: Path) -> None:
    (row,) = [row for row in table(README, "mapping option") if code(row[0]) == ["batch_size"]]
    assert row[2] == "1 to 10"
    path = tmp_path / "esm.yaml"
    for size in (10, 11):
        path.write_text(
            "mappings: {m: {source: 'arn:aws:sqs:eu-west-1:123456789012:q.fifo', target: 'http://f/', "
            f"batch_size: {size}}}}}"
        )
        if size == 10:
            assert load(path).config.mappings
        else:
            with pytest.raises(ConfigError, match="allowed is 1 to 10"):
                load(path)


def test_nested_options_are_all_listed() -> None:
    assert NESTED["scaling_config"] == tuple(ScalingConfig.model_fields)
    assert NESTED["provisioned_poller_config"] == tuple(ProvisionedPollerConfig.model_fields)


YAML_BLOCKS = [text for page in (README, CONFIGURATION, FUNCTIONS) for text in blocks(page, "yaml")]


@pytest.mark.parametrize("text", YAML_BLOCKS)
def test_a_yaml_block_is_a_configuration(text: str, tmp_path: Path) -> None:
    path = tmp_path / "esm.yaml"
    path.write_text(text)
    loaded = load(path, environ={"BILLING_SECRET": "s", "SQS": "http://127.0.0.1:9324"})
    assert loaded.config.mappings
    assert not loaded.warnings


def test_the_mapping_at_the_top_has_ten_lines_at_most() -> None:
    first = blocks(README, "yaml")[0]
    assert len(first.splitlines()) <= 10
