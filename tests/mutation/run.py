"""Plants faults in the modules that decide over records, and asks whether the tests of the core notice.

mutmut works on a copy in `mutants/`, with settings of its own, so that neither the project's configuration nor
its servers take part. A mutant counts as killed when a test fails or the run does not end. Prints the figure
of each module and what survived; fails if a module is below the threshold.

    python tests/mutation/run.py [MODULE...]
    (cd mutants && mutmut show NAME)      # what a survivor looks like
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Percent that has to be noticed. What deletes messages by a pattern, or decides what of a stream is finished, has
# more to lose than to gain.
MODULES = {
    "queue/judging": 85.0,
    "partial": 85.0,
    "log/packing": 95.0,
    "log/places": 95.0,
    "buffers": 85.0,
    "batching": 85.0,
    "filtering/criteria": 95.0,
    "filtering/data": 95.0,
    "filtering/grammar": 95.0,
    "filtering/matching": 95.0,
    "filtering/numbers": 85.0,  # its short cut for small numbers can be taken out without a difference
    "filtering/operators": 95.0,
    "filtering/texts": 95.0,
    "log/checkpoints": 95.0,
    "log/ledger": 95.0,
    "log/lineage": 95.0,
    "log/judging": 95.0,
    "pacing": 95.0,
    "log/parts": 95.0,
    "log/restoring": 95.0,
    "log/watermark": 95.0,
}
ROOT = Path(__file__).parents[2]
ROOM = ROOT / "mutants"

_SETTINGS = """
[tool.mutmut]
source_paths = ["esm"]
only_mutate = [{modules}]
pytest_add_cli_args = ["--hypothesis-seed=0", "-p", "no:cacheprovider", "-p", "no:asyncio"]
pytest_add_cli_args_test_selection = ["tests/unit/core"]
timeout_multiplier = 4.0
timeout_constant = 5.0
use_git_change_detection = false
use_setproctitle = false

[tool.pytest.ini_options]
filterwarnings = ["error"]
"""

# What mutmut notes as the exit status of the tests of one mutant.
_NOTICED = {1: "failed", 3: "failed", 24: "endless", -24: "endless", 36: "endless", 152: "endless", 255: "endless"}
_CRASHED = {-9: "crashed", -11: "crashed"}


@dataclass(frozen=True, slots=True)
class Figure:
    """How one module did."""

    module: str
    ends: Counter[str]
    survivors: tuple[str, ...]

    @property
    def total(self) -> int:
        return self.ends.total()

    @property
    def killed(self) -> float:
        """Percent."""
        return 100.0 * (self.ends["failed"] + self.ends["endless"]) / max(1, self.total)


def main(names: Sequence[str]) -> int:
    """Over these modules, or all."""
    chosen = names or tuple(MODULES)
    _prepare(chosen)
    ran = subprocess.run(
        [sys.executable, "-m", "mutmut", "run", "--max-children", str(os.cpu_count() or 2)],
        cwd=ROOM,
        env={**os.environ, "CI": "true"},  # for Hypothesis: no deadlines, on a machine that does other things too
        check=False,
    )
    if ran.returncode:
        return ran.returncode
    figures = [_figure(module) for module in chosen]
    print("\n".join(_lines(figures)))
    return 0 if all(figure.total and figure.killed >= MODULES[figure.module] for figure in figures) else 1


def _prepare(chosen: Sequence[str]) -> None:
    """A copy of the package and of the tests of its core, nothing else."""
    shutil.rmtree(ROOM, ignore_errors=True)
    no_caches = shutil.ignore_patterns("__pycache__")
    for part in ("esm", "tests/unit/core"):
        shutil.copytree(ROOT / part, ROOM / part, ignore=no_caches)
    modules = ", ".join(f'"esm/core/{module}.py"' for module in chosen)
    (ROOM / "pyproject.toml").write_text(_SETTINGS.format(modules=modules))


def _figure(module: str) -> Figure:
    notes = json.loads((ROOM / "mutants" / "esm" / "core" / f"{module}.py.meta").read_text())
    statuses: dict[str, int | None] = notes["exit_code_by_key"]
    ends = {name: (_NOTICED | _CRASHED).get(status or 0, "survived") for name, status in statuses.items()}
    survivors = tuple(name for name, end in ends.items() if end not in _NOTICED.values())
    return Figure(module, Counter(ends.values()), survivors)


def _lines(figures: list[Figure]) -> Iterator[str]:
    for figure in figures:
        yield from (f"  not noticed: {name}" for name in figure.survivors)
    yield f"{'module':<22}{'mutants':>9}{'failed':>9}{'endless':>9}{'survived':>10}{'killed':>9}"
    for figure in figures:
        failed, endless = figure.ends["failed"], figure.ends["endless"]
        yield (
            f"{figure.module:<22}{figure.total:>9}{failed:>9}{endless:>9}"
            f"{len(figure.survivors):>10}{figure.killed:>8.1f}% of {MODULES[figure.module]:g}%"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
