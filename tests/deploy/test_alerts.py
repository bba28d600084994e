"""The alert rules: valid, fire when they should, and speak only of metrics that the engine has."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from promtool import promtool

from esm.runtime.happenings import Polled, QueueDepth, SourceFailed
from esm.runtime.status.board import StatusBoard
from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.values import Live
from esm.telemetry.prometheus import PrometheusObserver

pytestmark = pytest.mark.timeout(400)  # the first run on a machine downloads the program

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"


def _check(*arguments: str, cwd: Path = DEPLOY) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [promtool(), *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "--lint-fatal", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    done = _check(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "broken",
    [("> 300", "> 9000"), ("== 0", "== 1"), ("> 0.1", "> 0.9"), ("for: 10m", "for: 1m"), ("> 3600", "> 9999")],
)
def test_the_rule_tests_notice_a_changed_rule(broken: tuple[str, str], tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path, dirs_exist_ok=True)
    rules = tmp_path / "alerts.yml"
    assert broken[0] in rules.read_text()
    rules.write_text(rules.read_text().replace(*broken, 1))
    assert _check("test", "rules", "alerts_test.yml", cwd=tmp_path).returncode != 0


def test_every_alert_has_a_test_that_sees_it_fire() -> None:
    alerts = set(re.findall(r"alert: (\w+)", (DEPLOY / "alerts.yml").read_text()))
    fired = re.findall(r"alertname: (\w+)\n\s+exp_alerts", (DEPLOY / "alerts_test.yml").read_text())
    assert alerts
    assert alerts == set(fired)


@pytest.mark.parametrize("file", ["alerts.yml", "alerts_test.yml"])
def test_every_metric_that_is_named_exists(file: str) -> None:
    named = set(re.findall(r"\besm_[a-z_]+", (DEPLOY / file).read_text()))
    assert len(named) > 5
    assert named <= _samples()


def _samples() -> set[str]:
    board = StatusBoard(lambda: 0.0)
    observer = PrometheusObserver(board, "1", lambda: 0.0)
    for told in (
        Polled("orders", 1, 2.0),
        QueueDepth("orders", 3, 4),
        SourceFailed("orders", "denied", "no", 1.0),
    ):
        board.tell(told)
        observer.tell(told)
    board.attach("stream", lambda: Live(lanes={"s-1": LaneFigures(behind=1.0)}))
    text = generate_latest(observer.registry).decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
