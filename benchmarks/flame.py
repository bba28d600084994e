"""Where the engine's time goes: `python -m benchmarks.flame docs/flamegraph.svg` draws one backlog being emptied.

The samples are py-spy's, which has to be on the PATH (`pipx install py-spy`); it looks at the engine from
outside, at moments when it is on a CPU. Only the thread of the event loop is drawn: the others wait, and from
outside that is not always to be told from work. Frames are named by module and function only, so that the picture
says nothing about the machine it was made on.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import uvloop

from benchmarks.bench import bench
from benchmarks.contenders import ENGINE, Terms
from benchmarks.scenarios import BODY_BYTES, QUEUE_DELAY, watch

WIDTH, ROW, TOP, SIDE = 1200, 17, 56, 8
SMALLEST = 2.0  # pixels: a narrower frame is left out
LETTER = 6.3  # pixels
WARM_SECONDS = 1.0
PER_SECOND = 500

EVENT_LOOP = "asyncio.runners.Runner.run"
FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]*?)(:\d+)?\)")
PACKAGES = re.compile(r".*(?:site-packages|dist-packages|lib/python3\.\d+)/")
HUES = {
    "esm.clients": "#e8855b",
    "esm.sources": "#eeb05a",
    "esm.targets": "#d9c95b",
    "esm.runtime": "#7fb069",
    "esm.core": "#5aa786",
    "esm.telemetry": "#6fa8c9",
    "esm": "#9bc08f",
    "": "#c9c9c9",
}


@dataclass(slots=True)
class Frame:
    """One function in one place of the tree, with the samples that it was in."""

    name: str
    samples: int = 0
    callees: dict[str, Frame] = field(default_factory=dict)

    def callee(self, name: str) -> Frame:
        if name not in self.callees:
            self.callees[name] = Frame(name)
        return self.callees[name]


def named(frame: str) -> str:
    """`function (some/where/esm/core/x.py:12)` as `esm.core.x.function`."""
    found = FRAME.fullmatch(frame)
    if found is None:
        return Path(frame).name
    file = PACKAGES.sub("", found["file"])
    if (start := f"/{file}".rfind("/esm/")) >= 0:
        file = file[start:]
    elif file.startswith(("/", "<")):
        file = Path(file).name
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"{module}.{found['function']}"


def tree(folded: Iterable[str]) -> Frame:
    """From lines of `outermost;...;innermost COUNT`, what is inside the event loop."""
    root = Frame("event loop")
    for line in folded:
        stack, _, count = line.rpartition(" ")
        names = [named(each) for each in stack.split(";")]
        if EVENT_LOOP not in names:
            continue
        frame = root
        frame.samples += int(count)
        for name in names[names.index(EVENT_LOOP) + 1 :]:
            frame = frame.callee(name)
            frame.samples += int(count)
    return root


def hue(name: str) -> str:
    package = next(prefix for prefix in HUES if name.startswith(f"{prefix}.") or not prefix)
    return HUES[package]


def drawn(frame: Frame, whole: int, left: float, depth: int) -> Iterator[tuple[int, str]]:
    """The frame and all that it called, each with its depth; the widest callee first."""
    width = frame.samples / whole * (WIDTH - 2 * SIDE)
    if width < SMALLEST:
        return
    y = TOP + depth * ROW
    name, share = escape(frame.name), frame.samples / whole
    letters = int((width - 4) / LETTER)
    text = f'<text x="{left + 3:.1f}" y="{y + 12}">{escape(shortened(frame.name, letters))}</text>'
    box = f'x="{left:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" fill="{hue(frame.name)}"'
    yield depth, f"<g><title>{name}: {share:.1%}</title><rect {box}/>{text if letters > 2 else ''}</g>"
    for callee in sorted(frame.callees.values(), key=lambda each: (-each.samples, each.name)):
        yield from drawn(callee, whole, left, depth + 1)
        left += callee.samples / whole * (WIDTH - 2 * SIDE)


def shortened(name: str, letters: int) -> str:
    """The function matters more than its module."""
    short = name if len(name) <= letters else name.rsplit(".", 1)[-1]
    return short if len(short) <= letters else f"{short[: max(0, letters - 1)]}…"


def svg(folded: Iterable[str], title: str) -> str:
    root = tree(folded)
    frames = list(drawn(root, root.samples, SIDE, 0))
    height = TOP + (max(depth for depth, _ in frames) + 1) * ROW + SIDE
    legend = "".join(
        f'<rect x="{SIDE + 130 * n}" y="34" width="12" height="12" fill="{colour}"/>'
        f'<text x="{SIDE + 16 + 130 * n}" y="44">{package or "libraries"}</text>'
        for n, (package, colour) in enumerate(HUES.items())
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" '
        f'font-size="10.5"><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f'<text x="{SIDE}" y="20" font-size="14">{escape(title)}, {root.samples:,} samples</text>{legend}'
    )
    return "\n".join([head, *(frame for _, frame in frames), "</svg>"]) + "\n"


async def sampled(sampler: str, messages: int) -> list[str]:
    """The folded stacks of the engine while it empties a backlog, without its start."""
    with tempfile.TemporaryDirectory(prefix="flame-") as folder:
        file = Path(folder) / "stacks"
        async with bench(QUEUE_DELAY) as around:
            queue = await around.create_queue("benchmark")
            await around.preload(queue, messages, BODY_BYTES)
            async with ENGINE.run(around, [queue], Terms()) as process:
                await asyncio.sleep(WARM_SECONDS)
                watcher = await asyncio.create_subprocess_exec(
                    *(sampler, "record", "--format", "raw", "--function", "--rate", str(PER_SECOND)),
                    *("--pid", str(process.pid), "--duration", "600", "--output", str(file)),
                    stdout=asyncio.subprocess.DEVNULL,
                )
                await watch(around, process, messages)
                watcher.send_signal(signal.SIGINT)
                await watcher.wait()
        return file.read_text().splitlines()


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flame", description=__doc__)
    parser.add_argument("svg", type=Path)
    parser.add_argument("--messages", type=int, default=150_000)
    chosen = parser.parse_args()
    sampler = shutil.which("py-spy")
    if sampler is None:
        sys.exit("py-spy is not on the PATH: pipx install py-spy")
    folded = await sampled(sampler, chosen.messages)
    chosen.svg.write_text(svg(folded, "esm, batches of 10, 1 KiB messages: time on the CPU"))


if __name__ == "__main__":
    uvloop.run(main())
