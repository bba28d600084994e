"""What a reply means for a part of a log's lane: what is done, what is given up, what is pending.

A stream's answer cuts the part at the lowest reported record: what comes before it is done. A topic's leaves only
the reported ones: the others are done, the function says so itself. Either way the rest is sent again with a fresh
budget. A failure costs an attempt or, bisected, makes two parts of one.
Sources: AWS Lambda guide, "Configuring partial batch response with Kinesis", "Configuring error handling controls
for Kafka event sources" and "Retain records of failed invocations"; what is open there is decided in
docs/decisions (24, 37).
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

from msgspec import Struct, structs

from esm.checkpoint import Budget
from esm.core.log.parts import Part
from esm.core.notice import AGED, EXHAUSTED, TOO_LARGE
from esm.core.partial import Unreadable, by_offset, by_text, failed_ids
from esm.model import Drop, Errored, Outcome, Record, Refused, Reply, Returned


class Reports(StrEnum):
    """How the answer of a log's function is read: not at all, or with what it lists to be sent again.

    LOWEST: records are named by their sequence number, and everything from the lowest on is sent again (Kinesis,
    DynamoDB Streams). LISTED: they are named by partition and offset, and only they are sent again (Kafka).
    """

    NONE = "none"
    LOWEST = "lowest"
    LISTED = "listed"


_NO_PROGRESS = {
    Reports.LOWEST: "the first record was reported",
    Reports.LISTED: "every record was reported",
}
_A_MOMENT = 0.01


class RetryRule(Struct, frozen=True):
    """When records of a log are given up.

    N `attempts` beyond the first delivery, `age` in seconds since their arrival; both None for never. `bisect` is
    BisectBatchOnFunctionError; `reports` is how ReportBatchItemFailures is meant, NONE without it: then the
    body of an answer is ignored completely.
    """

    attempts: int | None = None
    age: float | None = None
    bisect: bool = False
    reports: Reports = Reports.NONE


class LogVerdict(Struct, frozen=True):
    """What becomes of a part; `done`, the records of `drop` and of `pending` cover it and are disjoint.

    `retry_after` is how long a refusal asked us to wait, in seconds; `why` is for people.
    """

    outcome: Outcome
    done: tuple[Record, ...] = ()
    drop: Drop | None = None
    pending: tuple[Part, ...] = ()
    retry_after: float | None = None
    why: str = ""


def judge_log(part: Part, reply: Reply, rule: RetryRule, now: float) -> LogVerdict:
    """The verdict on `part`, which the target answered with `reply` at `now` (epoch seconds)."""
    match reply:
        case Refused(outcome=outcome, message=message, retry_after=asked):
            return LogVerdict(outcome, pending=(part.sent(in_flight=False),), retry_after=asked, why=message)
        case Errored(outcome=outcome, message=message):
            return _failed(part, reply, rule, now, (outcome, message))
        case Returned(payload=payload) if rule.reports is not Reports.NONE:
            return _answered(part, reply, payload, rule, now)
        case _:
            return LogVerdict(Outcome.SUCCESS, done=part.records)


def doomed(part: Part, rule: RetryRule, now: float) -> Drop | None:
    """What of a part must not be sent any more, or None: what expired, or all of it, if its retries are spent.

    Or if an operator gave it up, for which AWS has no word of its own (docs/decisions: 31).
    A call that a crash cut off counts as a failed attempt, but is no reason to give up before the second in a row
    (D25); with bisect only a single record is ever given up.
    """
    if part.too_large:
        return Drop(part.records, TOO_LARGE, part.budget.attempts)
    if part.budget.given_up:
        return Drop(part.records, EXHAUSTED, part.budget.attempts, part.reply)
    if expired := _expired(part, rule, now):
        return Drop(expired, AGED, part.budget.attempts, part.reply)
    if _is_spent(part, rule):
        return Drop(part.records, EXHAUSTED, part.budget.attempts, part.reply)
    return None


def too_old_in(part: Part, rule: RetryRule, now: float) -> float | None:
    """Seconds until the first of its records is too old to be sent, None if none will ever be."""
    if rule.age is None:
        return None
    return max(0.0, min(record.arrived for record in part.records) + rule.age - now) + _A_MOMENT


def cut_off(part: Part, rule: RetryRule, now: float) -> Sequence[Part]:
    """A part that was being sent when we crashed, as it goes on (D25)."""
    budget = part.budget
    if not budget.in_flight:
        return (part,)
    if rule.bisect and len(part.records) > 1:
        return _halves(part.records)
    return (structs.replace(part, budget=structs.replace(_counted(budget, now), cuts=budget.cuts + 1)),)


def _answered(part: Part, reply: Reply, payload: bytes, rule: RetryRule, now: float) -> LogVerdict:
    naming = by_offset if rule.reports is Reports.LISTED else by_text
    reported = failed_ids(payload, {record.id for record in part.records}, naming)
    if isinstance(reported, Unreadable):
        return _failed(part, reply, rule, now, (Outcome.FUNCTION_ERROR, reported.why))
    if not reported:
        return LogVerdict(Outcome.SUCCESS, done=part.records)
    failed = reported if rule.reports is Reports.LISTED else _from_the_lowest(part, reported)
    if len(failed) == len(part.records):
        return _failed(part, reply, rule, now, (Outcome.PARTIAL, _NO_PROGRESS[rule.reports]))
    done = tuple(record for record in part.records if record.id not in failed)
    rest = tuple(record for record in part.records if record.id in failed)
    return LogVerdict(Outcome.PARTIAL, done=done, pending=(Part(rest, reply=reply),))


def _from_the_lowest(part: Part, reported: Collection[str]) -> frozenset[str]:
    """What is reported and all that comes after it."""
    lowest = min(record.position for record in part.records if record.id in reported)
    return frozenset(record.id for record in part.records if record.position >= lowest)


def _failed(part: Part, reply: Reply, rule: RetryRule, now: float, what: tuple[Outcome, str]) -> LogVerdict:
    """No progress: `what` is the outcome and why."""
    outcome, why = what
    if rule.bisect and len(part.records) > 1:
        return LogVerdict(outcome, pending=_halves(part.records), why=why)
    again = structs.replace(part, budget=_counted(part.budget, now), reply=reply)
    if _is_spent(again, rule):
        drop = Drop(again.records, EXHAUSTED, again.budget.attempts, reply)
        return LogVerdict(outcome, drop=drop, why=why)
    return LogVerdict(outcome, pending=(again,), why=why)


def spent(part: Part, drop: Drop, now: float) -> Part:
    """A part that is given up, until its destination has it: a crash meanwhile must not send it once more."""
    budget = Budget(drop.attempts, part.budget.first_failed or now)
    return structs.replace(part, budget=budget, reply=drop.reply)


def _counted(budget: Budget, now: float) -> Budget:
    first = now if budget.first_failed is None else budget.first_failed
    return Budget(budget.attempts + 1, first)


def _halves(records: tuple[Record, ...]) -> tuple[Part, Part]:
    """The quota is not touched by a split, and each half has all of it; the first has the smaller half."""
    middle = len(records) // 2
    return Part(records[:middle]), Part(records[middle:])


def _is_spent(part: Part, rule: RetryRule) -> bool:
    budget = part.budget
    if rule.attempts is None or budget.attempts <= rule.attempts or budget.cuts == 1:
        return False
    return not rule.bisect or len(part.records) == 1


def _expired(part: Part, rule: RetryRule, now: float) -> tuple[Record, ...]:
    if (age := rule.age) is None:
        return ()
    return tuple([record for record in part.records if now - record.arrived > age])
