"""Interpolation: what is put in stays a value, and never shows."""

import pickle
import string
import tempfile
from pathlib import Path

import pytest
from config_fakes import CATALOG, ORDERS, body, loaded, problems, written
from hypothesis import given, settings
from hypothesis import strategies as st

from esm.config import load
from esm.config.interpolate import interpolate
from esm.config.mapping_options import MappingOptions
from esm.config.nodes import Node, plain
from esm.config.parse import parse
from esm.config.report import Report
from esm.errors import ConfigError
from esm.options import seconds

FORMS = {
    "${A}": "alpha",
    "x${A}y": "xalphay",
    "${A}${B}": "alphabeta",
    "${NO:-d}": "d",
    "${NO:-}": "",
    "${EMPTY:-d}": "d",
    "${EMPTY}": "",
    "${NO:-a: [b]}": "a: [b]",
    "$${A}": "${A}",
    "$A": "$A",
    "$$": "$$",
    "a$${b}c${A}": "a${b}calpha",
    "${QUOTED}": "${A}",
}
ENVIRON = {"A": "alpha", "B": "beta", "EMPTY": "", "QUOTED": "${A}"}


@pytest.mark.parametrize(("text", "expected"), FORMS.items(), ids=list(FORMS))
def test_expressions(text: str, expected: str) -> None:
    report = Report()
    assert interpolate(Node("f", 1, "p", text), ENVIRON, report).value == expected
    assert not report.found


@pytest.mark.parametrize(
    ("content", "value"), [("s3cret", "s3cret"), ("s3cret\n", "s3cret"), ("a\r\n", "a"), ("a\n\n", "a\n")]
)
def test_a_secret_file_loses_the_newline_at_its_end(tmp_path: Path, content: str, value: str) -> None:
    (tmp_path / "token").write_bytes(content.encode())
    target = f"{{type: http, url: http://x, bearer: '${{file:{tmp_path}/token}}'}}"
    (made,) = loaded(tmp_path, body(target=target)).config.targets.values()
    assert made.options.bearer.get_secret_value() == value


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe", "is no UTF-8 text"), (b"x" * (1024 * 1024 + 1), "is larger than 1 MiB")],
)
def test_a_bad_secret_file(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "token").write_bytes(content)
    given = body(f"batch_size: ${{file:{tmp_path}/token}}")
    assert problems(tmp_path, given) == [f"esm.yaml:5: mappings.m.batch_size: `token` {said}"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
YAMLISH = st.text(st.sampled_from("\n\t :-[]{}#&*!|>'\"%@`,?<~$\\ab1"), max_size=40)


@settings(max_examples=300)
@given(value=TEXT | YAMLISH)
def test_no_value_can_inject_yaml(value: str) -> None:
    """Whatever the environment holds, the tree keeps its shape and the value arrives as it is."""
    report = Report()
    root = parse('a: "${V}"\nb: [x, "${V}"]\nc: {d: 1}\n', "f", report)
    assert root is not None
    assert plain(interpolate(root, {"V": value}, report)) == {"a": value, "b": ["x", value], "c": {"d": 1}}
    assert not report.found


@settings(max_examples=300)
@given(text=TEXT)
def test_text_without_an_expression_stays(text: str) -> None:
    report = Report()
    if "${" not in text:
        assert interpolate(Node("f", 1, "p", text), {}, report).value == text


@settings(max_examples=300)
@given(text=TEXT)
def test_escaping_is_exact(text: str) -> None:
    escaped = text.replace("${", "$${")
    found = interpolate(Node("f", 1, "p", escaped), {}, Report())
    assert found.value == text


@settings(max_examples=200)
@given(secret=st.text(string.ascii_letters + string.digits + "/+=@:\\'\"\n", min_size=6, max_size=40))
def test_a_hidden_value_is_in_no_text(secret: str) -> None:
    report = Report()
    report.hide(secret, "${V}")
    report.problem(Node("f", 1, "p", None), f"{secret!r} and {secret} are wrong")
    report.warning(Node("f", 1, "p", None), f"no {secret}")
    with pytest.raises(ConfigError) as caught:
        report.raise_if_any()
    for said in (*caught.value.problems, *report.warnings):
        assert secret not in said


def test_a_short_secret_does_not_eat_our_own_texts() -> None:
    report = Report()
    report.hide("a1", "${V}")
    assert report.scrubbed("a1 is wrong, a10 and 'a1' too") == "${V} is wrong, a10 and '${V}' too"


SECRET = "hunter2-hunter2"
BAD = {
    "url": "{type: http, url: 'ftp://u:${S}@x'}",
    "timeout": "{type: http, url: 'http://x', timeout: '${S}'}",
    "max_connections": "{type: http, url: 'http://x', max_connections: '${S}'}",
    "type": "{type: '${S}'}",
    "unknown": "{type: http, url: 'http://x', '${S}': x, frob: '${S}'}",
    "line": "'${S}'",
    "line with a colon": "'x:${S}'",
    "bearer": "{type: http, url: 'http://x', bearer: ['${S}']}",
    "literal bearer": f"{{type: http, url: 'http://x', bearer: [{SECRET}]}}",
    "tls": "{type: http, url: 'http://x', tls: '${S}'}",
}


@pytest.mark.parametrize("target", BAD.values(), ids=list(BAD))
def test_secrets_never_show_in_errors(tmp_path: Path, target: str) -> None:
    path = written(tmp_path, body(target=target))
    with pytest.raises(ConfigError) as caught:
        load(path, catalog=CATALOG, environ={"S": SECRET})
    error = caught.value
    assert SECRET not in str(error)
    assert SECRET not in repr(error)
    assert SECRET not in "".join(error.problems)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert SECRET not in repr(pickle.dumps(error.args))


def test_a_secret_in_a_plugins_own_words_does_not_show(tmp_path: Path) -> None:
    given = body(source="{type: sqs, queue_url: 'http://nonsense/${S}'}")
    assert problems(tmp_path, given, {"S": SECRET}) == [
        "esm.yaml:3: mappings.m.source: http://nonsense/${S} is no queue"
    ]


def test_secrets_never_show_in_the_configuration(tmp_path: Path) -> None:
    given = body(
        source=f"{{type: sqs, arn: '{ORDERS}', aws: {{endpoint_url: 'http://u:${{S}}@q'}}}}",
        target="{type: http, url: 'http://x/?t=${S}', bearer: '${S}', headers: {k: '${S}', l: literal-secret}}",
    )
    result = loaded(tmp_path, given, {"S": SECRET})
    for shown in (repr(result), str(result), repr(result.config), str(result.config.targets)):
        assert SECRET not in shown
        assert "literal-secret" not in shown
    (target,) = result.config.targets.values()
    assert target.options.bearer.get_secret_value() == SECRET


def test_what_comes_from_the_environment_may_be_any_scalar(tmp_path: Path) -> None:
    environ = {"N": "7", "ON": "false", "T": "45", "D": "2m"}
    options = "batch_size: ${N}\nenabled: ${ON}\nmax_hold: ${T}\nmaximum_batching_window_in_seconds: ${D}"
    (mapping,) = loaded(tmp_path, body(options), environ).config.mappings.values()
    assert (mapping.options.batch_size, mapping.options.enabled) == (7, False)
    assert isinstance(mapping.options, MappingOptions)
    assert (mapping.options.max_hold, mapping.options.maximum_batching_window_in_seconds) == (45, 120)


@settings(max_examples=50, deadline=None)
@given(value=TEXT)
def test_any_secret_reaches_the_target_as_it_is(value: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = "{type: http, url: 'http://x', bearer: '${S}'}"
        (made,) = loaded(Path(folder), body(target=target), {"S": value}).config.targets.values()
    assert made.options.bearer.get_secret_value() == value


DURATIONS = {
    "500ms": 0.5,
    "30s": 30,
    "5m": 300,
    "1h30m": 5400,
    "1h 30m": 5400,
    "1.5h": 5400,
    "2d": 172_800,
    "30": 30,
}


@pytest.mark.parametrize(("text", "expected"), DURATIONS.items(), ids=list(DURATIONS))
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "5x", "5 5s", "-5s", "1e3s", "5s!", "abc", "5m -1s", "1h,5m", True, False]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


@given(
    whole=st.integers(0, 10**6),
    unit=st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]),
)
def test_durations_are_amount_times_unit(whole: int, unit: tuple[str, float]) -> None:
    assert seconds(f"{whole}{unit[0]}") == pytest.approx(whole * unit[1])


@given(text=TEXT)
def test_no_text_breaks_durations(text: str) -> None:
    try:
        value = seconds(text)
    except ValueError:
        return
    assert isinstance(value, float)
    assert value >= 0
