"""One curve over time, for a terminal and as an SVG for a page. Pure: the same points give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]

ROWS, COLUMNS = 12, 78
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 300, 44, 34, 14, 34


@dataclass(frozen=True, slots=True)
class Curve:
    """`line` over `area`; `band` is a stretch of time (seconds) with a name."""

    title: str
    line: Points
    area: Points
    band: tuple[float, float]
    band_title: str

    @property
    def seconds(self) -> float:
        return max(at for at, _ in self.line)

    @property
    def top(self) -> float:
        return max(value for _, value in (*self.line, *self.area))


def as_text(curve: Curve) -> str:
    """A column holds what the line was last at that time; what fails is marked below the axis."""
    step = curve.seconds / (COLUMNS - 1)
    levels = [last_before(curve.line, column * step) for column in range(COLUMNS)]
    rows = []
    for row in range(ROWS, 0, -1):
        bound = curve.top * (row - 0.5) / ROWS
        marks = "".join("#" if level >= bound else " " for level in levels)
        rows.append(f"{curve.top * row / ROWS:6.0f} |{marks.rstrip()}")
    begin, end = (round(at / step) for at in curve.band)
    axis = "".join("x" if begin <= column < end else "-" for column in range(COLUMNS))
    return "\n".join(
        [curve.title, *rows, f"       +{axis}", f"        0 s to {curve.seconds:.0f} s; x: {curve.band_title}"]
    )


def last_before(points: Points, at: float) -> float:
    value = points[0][1]
    for moment, found in points:
        if moment > at:
            break
        value = found
    return value


def as_svg(curve: Curve) -> str:
    """Readable on light and dark pages: it brings its own background."""
    begin, end = (across(curve, at) for at in curve.band)
    floor = HEIGHT - BOTTOM
    area = f"{LEFT},{floor} {stairs(curve, curve.area)} {WIDTH - RIGHT},{floor}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text font-size="12" x="{LEFT}" y="18" font-weight="bold">{curve.title}</text>',
        f'<rect x="{begin}" y="{TOP}" width="{end - begin:.1f}" height="{floor - TOP}" fill="#fbe3e0"/>',
        f'<text font-size="12" x="{begin + 6:.1f}" y="{TOP + 16}" fill="#a33">{curve.band_title}</text>',
        *(level(curve, curve.top * part / 4) for part in range(5)),
        f'<polygon points="{area}" fill="#cfe0f3"/>',
        f'<polyline points="{stairs(curve, curve.line)}" fill="none" stroke="#1f5fa8" stroke-width="2"/>',
        *(second(curve, at) for at in range(0, int(curve.seconds) + 1, 2)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def across(curve: Curve, at: float) -> float:
    return round(LEFT + at / curve.seconds * (WIDTH - LEFT - RIGHT), 1)


def down(curve: Curve, value: float) -> float:
    return round(HEIGHT - BOTTOM - value / curve.top * (HEIGHT - TOP - BOTTOM), 1)


def stairs(curve: Curve, points: Points) -> str:
    """A value holds until the next one; points that change nothing are left out."""
    corners, before = [], None
    for at, value in points:
        if before is None:
            corners.append((0.0, value))
        elif value != before:
            corners += [(at, before), (at, value)]
        before = value
    corners.append((curve.seconds, points[-1][1]))
    return " ".join(f"{across(curve, at)},{down(curve, value)}" for at, value in corners)


def level(curve: Curve, value: float) -> str:
    y = down(curve, value)
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>'
        f'<text font-size="12" x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>'
    )


def second(curve: Curve, at: float) -> str:
    return f'<text font-size="12" x="{across(curve, at)}" y="{HEIGHT - 14}" text-anchor="middle">{at:g} s</text>'
