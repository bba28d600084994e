"""What can be run: for each scenario its load, who runs it, what its table shows and the gates it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from benchmarks.backoff import backoff_curve
from benchmarks.catch_up import catch_up
from benchmarks.contenders import CONTENDERS, Terms
from benchmarks.fairness import fair_share, rate_limit
from benchmarks.filtering import filter_cost
from benchmarks.gates import Gate, engine_above, engine_ratio, engine_share
from benchmarks.idle import idle_mappings
from benchmarks.kafka_contenders import KAFKA_CONTENDERS
from benchmarks.kafka_key_parallelism import kafka_key_parallelism
from benchmarks.kafka_scenarios import KafkaBacklog, drain_topic
from benchmarks.kafka_trickle import KafkaTrickle, trickle_topic
from benchmarks.key_parallelism import key_parallelism
from benchmarks.memory import memory
from benchmarks.outcome import Outcome
from benchmarks.quiet_shards import quiet_shards
from benchmarks.scenarios import Backlog, Run, Trickle, empty, trickle
from benchmarks.stream_contenders import STREAM_CONTENDERS, StreamTerms
from benchmarks.stream_scenarios import StreamBacklog, drain, first_record

EVERYONE = ("stock", "lean", "engine")
FUNCTION_SECONDS = 0.05


class Column(NamedTuple):
    """A figure as the median of the runs, or with `over`, as its ratio to that floor."""

    title: str
    figure: str
    places: int
    over: str = ""


class Compared(NamedTuple):
    """A scenario that the contenders run in turn; `run` is told who runs, and by how much to shorten it.

    `beside` is printed under the table: figures of others, that nobody here runs.
    """

    run: Callable[[str, float], Awaitable[Run]]
    contenders: tuple[str, ...]
    columns: tuple[Column, ...]
    gates: tuple[Gate, ...] = ()
    beside: str = ""


def emptying(load: Backlog) -> Callable[[str, float], Awaitable[Run]]:
    return lambda name, scale: empty(CONTENDERS[name], load.scaled(scale))


def trickling(load: Trickle) -> Callable[[str, float], Awaitable[Run]]:
    return lambda name, scale: trickle(CONTENDERS[name], load.scaled(scale))


def draining(load: StreamBacklog) -> Callable[[str, float], Awaitable[Run]]:
    return lambda name, scale: drain(STREAM_CONTENDERS[name], load.scaled(scale))


def draining_topic(load: KafkaBacklog) -> Callable[[str, float], Awaitable[Run]]:
    return lambda name, scale: drain_topic(KAFKA_CONTENDERS[name], load.scaled(scale))


def trickling_topic(load: KafkaTrickle) -> Callable[[str, float], Awaitable[Run]]:
    return lambda name, scale: trickle_topic(KAFKA_CONTENDERS[name], load.scaled(scale))


def starting(load: StreamBacklog) -> Callable[[str, float], Awaitable[Run]]:
    return lambda name, _: first_record(STREAM_CONTENDERS[name], load)


RATES = (
    Column("msg/s", "per_second", 0),
    Column("x stock", "per_second", 2, "stock"),
    Column("x lean", "per_second", 2, "lean"),
    Column("CPU s per 1,000", "cpu_per_1000", 4),
    Column("x stock", "cpu_per_1000", 2, "stock"),
    Column("x lean", "cpu_per_1000", 2, "lean"),
    Column("cores", "cpu_share", 2),
    Column("RSS MiB", "rss_mib", 0),
    Column("queue server, cores", "server_share", 2),
    Column("target, cores", "target_share", 2),
    Column("all, cores", "machine_share", 2),
)
AGES = (
    Column("p50 ms", "p50_ms", 2),
    Column("p99 ms", "p99_ms", 2),
    Column("max ms", "max_ms", 1),
    Column("p50 x lean", "p50_ms", 2, "lean"),
    Column("p99 x lean", "p99_ms", 2, "lean"),
    Column("CPU s per 1,000", "cpu_per_1000", 3),
    Column("x lean", "cpu_per_1000", 2, "lean"),
    Column("RSS MiB", "rss_mib", 0),
)
STREAM_RATES = (
    Column("records/s", "per_second", 0),
    Column("records per CPU-second", "per_cpu_second", 0),
    Column("x stock", "per_cpu_second", 2, "stock"),
    Column("x lean", "per_cpu_second", 2, "lean"),
    Column("cores", "cpu_share", 2),
    Column("RSS MiB", "rss_mib", 0),
    Column("stream server, cores", "server_share", 2),
    Column("target, cores", "target_share", 2),
    Column("all, cores", "machine_share", 2),
)
TOPIC_RATES = tuple(
    column._replace(title="broker, cores") if column.figure == "server_share" else column
    for column in STREAM_RATES
)
STARTS = (
    Column("first record after s", "first_s", 2),
    Column("CPU s until all were delivered", "cpu_s", 2),
    Column("RSS MiB", "rss_mib", 0),
)
PEERS = (
    "To beat, in records per CPU-second with batches of 1,000 records of 1 KiB, four shards and answers after "
    "2 ms, as measured on two shared cores: KCL 2.6.0 (polling, Java 17) 45,600, Bento 1.10.0 (aws_kinesis) "
    "18,000."
)
TOPIC_PEERS = (
    "To beat, in records per CPU-second with batches of 1,000 records of 1 KiB and four partitions of a real "
    "broker, as measured on two shared cores: Bento 1.10.0 (kafka_franz) 76,000, or 72,000 with events like "
    "Lambda's; confluent's parallel consumer 0.5.3.2 47,000 to 55,000 unordered, 30,000 by key in batches of 100."
)
LOG_GATES = (
    Gate("records per CPU-second over lean, at least 0.6", engine_ratio("per_cpu_second", "lean"), least=0.6),
)

ONE_BY_ONE = Backlog(30_000, Terms(batch=1, concurrency=100), FUNCTION_SECONDS, offered=2000)
TEN_BY_TEN = Backlog(100_000, Terms(batch=10, concurrency=50), FUNCTION_SECONDS)
POSSIBLE = TEN_BY_TEN.terms.batch * TEN_BY_TEN.terms.concurrency / FUNCTION_SECONDS

COMPARED = {
    "sqs-throughput": Compared(
        emptying(Backlog()),
        EVERYONE,
        RATES,
        (
            Gate("CPU per message over stock, at most 0.5", engine_ratio("cpu_per_1000", "stock"), most=0.5),
            Gate("CPU per message over lean, at most 1.5", engine_ratio("cpu_per_1000", "lean"), most=1.5),
        ),
    ),
    "sqs-latency": Compared(
        trickling(Trickle()),
        EVERYONE,
        AGES,
        (Gate("p99 above that of lean in ms, at most 5", engine_above("p99_ms", "lean"), most=5.0),),
    ),
    "sqs-rate-1": Compared(
        emptying(ONE_BY_ONE),
        ("lean", "engine"),
        RATES,
        (
            Gate(
                "share of 2,000 msg/s offered one by one, at least 0.95",
                engine_share("per_second", ONE_BY_ONE.offered),
                least=0.95,
            ),
        ),
    ),
    "sqs-rate-10": Compared(
        emptying(TEN_BY_TEN),
        ("lean", "engine"),
        RATES,
        (
            Gate(
                f"share of the possible {POSSIBLE:,.0f} msg/s, at least 0.9",
                engine_share("per_second", POSSIBLE),
                least=0.9,
            ),
        ),
    ),
    "backlog": Compared(emptying(Backlog(100_000, Terms(batch=100, window=1))), EVERYONE, RATES),
    "kinesis-throughput": Compared(
        draining(StreamBacklog()),
        EVERYONE,
        STREAM_RATES,
        LOG_GATES,
        beside=PEERS,
    ),
    "kinesis-first-record": Compared(
        starting(StreamBacklog(100, keys=100, terms=StreamTerms(batch=100))),
        EVERYONE,
        STARTS,
        (
            Gate(
                "seconds from a cold start to the first record, at most 2", engine_share("first_s", 1.0), most=2.0
            ),
        ),
        beside="KCL 2.6.0 takes 73 to 86 s (it waits for its leases), Bento 1.10.0 2.5 to 2.9 s.",
    ),
    "kafka-throughput": Compared(
        draining_topic(KafkaBacklog()), EVERYONE, TOPIC_RATES, LOG_GATES, beside=TOPIC_PEERS
    ),
    "kafka-throughput-100": Compared(
        draining_topic(KafkaBacklog(1_000_000, body_bytes=100)), EVERYONE, TOPIC_RATES, LOG_GATES
    ),
    "kafka-latency": Compared(
        trickling_topic(KafkaTrickle()),
        EVERYONE,
        AGES,
        (Gate("p99 above that of lean in ms, at most 10", engine_above("p99_ms", "lean"), most=10.0),),
    ),
}

ALONE: dict[str, Callable[[float], Awaitable[Outcome]]] = {
    "memory": memory,
    "idle-mappings": idle_mappings,
    "backoff-curve": backoff_curve,
    "fair-share": fair_share,
    "rate-limit": rate_limit,
    "filter-cost": filter_cost,
    "key-parallelism": key_parallelism,
    "kafka-key-parallelism": kafka_key_parallelism,
    "quiet-shards": quiet_shards,
    "catch-up": catch_up,
}


def named(name: str) -> list[str]:
    """The scenarios of that name, or all whose names begin with it; `sqs-rate` means two."""
    return [each for each in (*COMPARED, *ALONE) if each == name or each.startswith(f"{name}-")]
