"""The default of `memory_limit`, on made-up machines."""

from pathlib import Path

import pytest

from esm.config.memory import default_limit

GIB = 2**30


def machine(root: Path, cgroup: str, files: dict[str, str]) -> int:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, content in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return default_limit(root, installed=16 * GIB)


CASES: dict[str, tuple[str, dict[str, str], int]] = {
    "v2, limited": ("0::/\n", {"memory.max": f"{2 * GIB}\n"}, GIB),
    "v2, not limited": ("0::/\n", {"memory.max": "max\n"}, 8 * GIB),
    "v2, the parent is smaller": (
        "0::/pod/app\n",
        {"pod/app/memory.max": f"{4 * GIB}", "pod/memory.max": f"{2 * GIB}", "memory.max": "max"},
        GIB,
    ),
    "v2, a path that is not mounted": ("0::/kubepods/x\n", {"memory.max": f"{2 * GIB}"}, GIB),
    "v2, a path above the namespace": ("0::/../other\n", {"memory.max": f"{2 * GIB}"}, GIB),
    "v1": ("5:cpu,cpuacct:/\n4:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": f"{2 * GIB}"}, GIB),
    "v1, not limited": ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 8 * GIB),
    "no files": ("0::/\n", {}, 8 * GIB),
    "more than the machine has": ("0::/\n", {"memory.max": f"{64 * GIB}"}, 8 * GIB),
}


@pytest.mark.parametrize(("cgroup", "files", "expected"), CASES.values(), ids=list(CASES))
def test_half_of_the_smallest_limit(tmp_path: Path, cgroup: str, files: dict[str, str], expected: int) -> None:
    assert machine(tmp_path, cgroup, files) == expected


def test_without_control_groups_half_of_the_machine(tmp_path: Path) -> None:
    assert default_limit(tmp_path, installed=4 * GIB) == 2 * GIB


def test_this_machine() -> None:
    assert default_limit() > 0
