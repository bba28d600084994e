"""The gates' arithmetic, the catalogue, and the pictures: what is said of the figures must follow from them."""

import pytest

from benchmarks.__main__ import judged
from benchmarks.backoff import Moment, described
from benchmarks.bench import Account
from benchmarks.catalog import ALONE, COMPARED, named
from benchmarks.charts import Curve, as_svg, as_text
from benchmarks.fairness import RATE, rate_verdicts
from benchmarks.figures import crowded, difference
from benchmarks.flame import named as name_of
from benchmarks.flame import svg, tree
from benchmarks.gates import Gate, Verdict, engine_above, engine_ratio, engine_share
from benchmarks.report import gate_table, table
from benchmarks.scenarios import Run

BALANCED = Account(sent=1, deleted=1, missing=0, unexpected=0, malformed=0, redelivered=0)


def runs(figure: str, **of: list[float]) -> dict[str, list[Run]]:
    return {name: [Run({figure: value}, BALANCED) for value in values] for name, values in of.items()}


def passed(scenario: str, measured: dict[str, list[Run]]) -> list[bool | None]:
    return [verdict.passed for verdict in judged(COMPARED[scenario], measured)]


def test_names_mean_one_scenario_or_a_family() -> None:
    assert named("sqs-rate") == ["sqs-rate-1", "sqs-rate-10"]
    assert named("memory") == ["memory"]
    assert named("sqs-rat") == []
    assert not set(COMPARED) & set(ALONE)


def test_every_gate_of_a_comparison_can_be_measured_by_those_who_run_it() -> None:
    for compared in COMPARED.values():
        shown = {column.figure for column in compared.columns}
        assert {column.over for column in compared.columns} <= {"", "stock", "lean"}
        everything = [Run(dict.fromkeys(shown, 1.0), BALANCED)]
        verdicts = judged(compared, dict.fromkeys(compared.contenders, everything))
        assert all(verdict.passed is not None for verdict in verdicts)


@pytest.mark.parametrize(("engine", "expected"), [(5.0, True), (5.1, False)])
def test_cpu_is_compared_with_both_floors(engine: float, expected: bool) -> None:  # noqa: FBT001
    assert passed("sqs-throughput", runs("cpu_per_1000", stock=[10.0], lean=[10.0], engine=[engine])) == [
        expected,
        True,
    ]
    assert passed("sqs-throughput", runs("cpu_per_1000", stock=[100.0], lean=[10 / 3], engine=[engine])) == [
        True,
        expected,
    ]


def test_ratios_are_of_neighbours_and_their_median_counts() -> None:
    noisy = runs("cpu_per_1000", stock=[10.0, 100.0, 20.0], lean=[4.0, 40.0, 8.0], engine=[4.0, 40.0, 80.0])
    assert [verdict.measured for verdict in judged(COMPARED["sqs-throughput"], noisy)] == [0.4, 1.0]


def test_a_gate_without_its_floor_is_not_passed() -> None:
    verdicts = judged(COMPARED["sqs-throughput"], runs("cpu_per_1000", engine=[1.0], lean=[1.0, 1.0]))
    assert [verdict.word for verdict in verdicts] == ["not measured", "not measured"]


@pytest.mark.parametrize(("p99", "expected"), [(7.0, True), (7.1, False), (1.0, True)])
def test_latency_may_exceed_the_floor_by_five_milliseconds(p99: float, expected: bool) -> None:  # noqa: FBT001
    assert passed("sqs-latency", runs("p99_ms", lean=[2.0], engine=[p99])) == [expected]


@pytest.mark.parametrize(
    ("scenario", "rate", "expected"),
    [
        ("sqs-rate-1", 1900.0, True),
        ("sqs-rate-1", 1899.0, False),
        ("sqs-rate-10", 9000.0, True),
        ("sqs-rate-10", 8999.0, False),
    ],
)
def test_rates_are_shares_of_what_is_possible(scenario: str, rate: float, expected: bool) -> None:  # noqa: FBT001
    assert passed(scenario, runs("per_second", engine=[rate])) == [expected]


@pytest.mark.parametrize(("engine", "expected"), [(60.0, True), (59.9, False)])
def test_a_stream_costs_at_most_five_thirds_of_the_floor(engine: float, expected: bool) -> None:  # noqa: FBT001
    assert passed("kinesis-throughput", runs("per_cpu_second", lean=[100.0], engine=[engine])) == [expected]


@pytest.mark.parametrize(("seconds", "expected"), [(2.0, True), (2.01, False)])
def test_the_first_record_comes_within_two_seconds(seconds: float, expected: bool) -> None:  # noqa: FBT001
    assert passed("kinesis-first-record", runs("first_s", engine=[seconds])) == [expected]


def test_figures_of_others_stand_below_the_table() -> None:
    compared = COMPARED["kinesis-throughput"]
    shown = table("kinesis-throughput", compared, runs("per_cpu_second", stock=[1.0], lean=[1.0], engine=[1.0]))
    assert shown.endswith(f"\n\n{compared.beside}")
    assert "45,600" in compared.beside


def test_measures_without_figures_are_none() -> None:
    for measure in (engine_ratio("x", "lean"), engine_above("x", "lean"), engine_share("x", 1.0)):
        assert Gate("g", measure).judge({"engine": [{}], "lean": [{}]}).passed is None
    assert difference([3.0, None, 5.0], [1.0, 1.0, 1.0]) == 3.0


def test_a_missed_gate_stands_out() -> None:
    table = gate_table({"s": [Verdict("a", 1.5, passed=False), Verdict("b", None, passed=True)]})
    assert "| s | a | 1.50 | MISS |" in table
    assert "| s | b |  | pass |" in table


def test_a_rate_is_judged_in_its_worst_window() -> None:
    steady = [n / 10 for n in range(51)]
    assert crowded(steady, 1.0) == (10, 10)
    assert crowded([*steady, *(5 + n / 20 for n in range(1, 41))], 1.0) == (10, 20)
    assert crowded([0.0, 0.1], 1.0) == (0, 0)
    assert [verdict.passed for verdict in rate_verdicts(RATE * 0.95, RATE * 1.05)] == [True, True]
    assert [verdict.passed for verdict in rate_verdicts(RATE * 0.94, RATE * 1.06)] == [False, False]


def curve(low: float) -> list[Moment]:
    """Full, down to `low` when the function fails, and back."""
    limits = {0: 32.0, 8: 32.0, 9: low, 14: low, 18: 16.0, 22: 32.0}
    return [Moment(at, limits[max(t for t in limits if t <= at)], 1.0) for at in range(26)]


def test_a_limit_that_backs_off_and_recovers_passes_and_one_that_does_not_fails() -> None:
    good = described(curve(1.0))
    assert all(verdict.passed for verdict in good.verdicts)
    assert (good.figures["lowest limit while it fails"], good.figures["seconds from working again to all"]) == (
        1,
        8,
    )
    assert [verdict.passed for verdict in described(curve(4.0)).verdicts] == [True, False, True]
    stuck = [Moment(moment.at, min(15.0, moment.limit), 1.0) for moment in curve(1.0)]
    assert [verdict.passed for verdict in described(stuck).verdicts] == [False, True, False]


def test_a_chart_shows_the_line_and_the_time_of_failing() -> None:
    drawn = Curve("limits", [(0.0, 4.0), (5.0, 1.0), (10.0, 4.0)], [(0.0, 2.0)], (5.0, 10.0), "fails")
    rows = as_text(drawn).splitlines()
    assert (rows[1].count("#"), rows[-2].count("x")) == (39, 38)
    assert rows[-3].count("#") == 78
    assert as_svg(drawn) == as_svg(drawn)
    assert "fails" in as_svg(drawn)


def test_a_flame_graph_names_functions_and_no_place() -> None:
    assert name_of("run (/home/somebody/x/esm/core/queue/judging.py:12)") == "esm.core.queue.judging.run"
    assert name_of("run (esm/core/__init__.py)") == "esm.core.run"
    assert name_of("get (/opt/venv/lib/python3.12/site-packages/aiohttp/client.py:7)") == "aiohttp.client.get"
    assert name_of("odd (/somewhere/else/odd.py)") == "odd.odd"


def test_a_flame_graph_has_what_is_inside_the_event_loop() -> None:
    loop = "main (a.py);run (asyncio/runners.py);Runner.run (asyncio/runners.py)"
    folded = [f"{loop};f (esm/x.py) 30", f"{loop};f (esm/x.py);g (b.py) 60", f"{loop} 10", "other (c.py) 1000"]
    root = tree(folded)
    assert root.samples == 100
    assert root.callees["esm.x.f"].callees["b.g"].samples == 60
    assert "<title>esm.x.f: 90.0%</title>" in svg(folded, "t")
