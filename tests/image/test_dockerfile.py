"""The Dockerfile, read: what a linter says, and what belongs to one machine only."""

import re
import subprocess
from pathlib import Path

import pytest

from image.network import network_options
from image.tools import HADOLINT, needed

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"

pytestmark = [pytest.mark.image, pytest.mark.timeout(200)]  # the first run on a machine downloads the linter


def lint(dockerfile: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [needed(HADOLINT) / "bin" / "hadolint", "--no-color", dockerfile],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_linter_is_content() -> None:
    done = lint(DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_linter_would_have_noticed(tmp_path: Path) -> None:
    careless = tmp_path / "Dockerfile"
    careless.write_text(DOCKERFILE.read_text() + "\nRUN cd /tmp && pip install requests\n")
    assert "DL3003" in lint(careless).stdout


def test_it_names_no_architecture_and_no_host() -> None:
    text = DOCKERFILE.read_text()
    instructions = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert not re.search(r"amd64|arm64|x86_64|aarch64|TARGETARCH|--platform", instructions)
    assert set(re.findall(r"https?://[^\s\"'/:]+", text)) == {"http://127.0.0.1"}


def test_the_build_sees_only_what_the_wheel_is_made_of() -> None:
    ignored, *allowed = (
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    )
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert ignored == "*"
    assert {f"!{name}" for line in copied for name in line.split()} == {
        line for line in allowed if line.startswith("!")
    }


def test_a_build_is_told_of_the_network_only_and_by_the_strongest_word() -> None:
    listed = [
        ":env:.default-timeout='99'",
        ":env:.find-links='/somewhere'",
        "global.index-url='http://index.test/simple'",
        "global.timeout='15'",
        "global.trusted-host='a.test b.test'",
        "user.break-system-packages='true'",
    ]
    assert network_options(listed) == {
        "index-url": "http://index.test/simple",
        "trusted-host": "a.test\n    b.test",
        "timeout": "99",
    }
