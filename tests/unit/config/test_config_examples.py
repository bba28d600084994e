"""Every example file is a valid configuration, for the loader and for the schema."""

from pathlib import Path

import pytest
from config_fakes import CATALOG, body, written
from config_schema_check import errors
from ruamel.yaml import YAML

from esm.config import Catalog, assemble, json_schema, load
from esm.world import real_world

EXAMPLES = Path(__file__).parents[3] / "config"
ENVIRON = {"ORDERS_HOST": "orders.internal", "ORDERS_API_KEY": "k", "RUNTIME_SECRET": "s" * 16}
WARNINGS = {"cloudformation-paste.yaml": ["Tags"]}
FILES = sorted(EXAMPLES.rglob("*.yaml"))


def test_there_are_examples() -> None:
    assert len(FILES) >= 10


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_an_example_loads(path: Path, tmp_path: Path) -> None:
    if path.name == "secrets.yaml":
        (tmp_path / "token").write_text("t\n")
        text = path.read_text().replace("/run/secrets/orders-token", str(tmp_path / "token"))
        path = written(tmp_path, text, path.name)
    result = load(path, catalog=Catalog.installed(), environ=ENVIRON)
    assert result.config.mappings
    said = [warning.partition(": mappings.orders.")[2].partition(":")[0] for warning in result.warnings]
    assert said == WARNINGS.get(path.name, [])
    assert assemble(result.config, world=real_world()).mappings.keys() == result.config.mappings.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_begins_with_a_comment_or_is_part_of_one(path: Path) -> None:
    assert path.read_text().startswith("#") or path.parent != EXAMPLES


@pytest.mark.parametrize("path", [path for path in FILES if path.parent == EXAMPLES], ids=lambda path: path.name)
def test_an_example_fits_the_schema(path: Path) -> None:
    document = YAML(typ="safe", pure=True).load(path.read_text())
    assert errors(document, json_schema(Catalog.installed())) == []


GOOD = {
    "PascalCase": body("BatchSize: 5\nScalingConfig: {MaximumConcurrency: 5}"),
    "duration as text": body("max_hold: 5m\nmaximum_batching_window_in_seconds: 5s"),
    "duration as a number": body("max_hold: 300"),
    "expressions": body("batch_size: ${N}\nenabled: ${E:-true}\nfifo_failure: ${F:-aws}"),
    "null": body("batch_size: null"),
    "ignored": body("Tags: []\nkms_key_arn: x"),
    "a one-line target": "targets: {f: http://f/}\nmappings: {}",
    "a memory limit": "memory_limit: 1GiB\nmappings: {}",
    "room for anchors": "x-a: [1]\nmappings: {}",
}
WRONG = {
    "an unknown option": body("batch_sise: 5"),
    "an unknown option in PascalCase": body("BatchSise: 5"),
    "out of range": body("batch_size: 0"),
    "out of range below": body("ScalingConfig: {MaximumConcurrency: 1}"),
    "wrong type": body("enabled: maybe"),
    "no source": "mappings: {m: {target: http://x/}}",
    "two sources": body(f"EventSourceArn: {'x'}"),
    "an unknown type of target": body(target="{type: smtp}"),
    "an unknown option of a target": body(target="{type: http, url: http://x/, tiemout: 3}"),
    "an unknown section": "mapings: {}",
    "an enumeration": "log: {level: inf}\nmappings: {}",
    "a bad name": "mappings: {'a/b': {source: x, target: y}}",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=list(GOOD))
def test_the_schema_allows(text: str) -> None:
    document = YAML(typ="safe", pure=True).load(text)
    assert errors(document, json_schema(CATALOG)) == []


@pytest.mark.parametrize("text", WRONG.values(), ids=list(WRONG))
def test_the_schema_marks(text: str) -> None:
    document = YAML(typ="safe", pure=True).load(text)
    assert errors(document, json_schema(CATALOG))
