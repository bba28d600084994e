"""What a reply means for the records of a queue's batch.

Success deletes all, a partial answer deletes the complement, a failure leaves everything to the queue's own
visibility timeout, a refusal holds the batch as it is because the function was never reached.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

from esm.core.partial import Unreadable, failed_ids
from esm.model import Errored, Outcome, Record, Refused, Reply, Returned, Verdict


class Reports(StrEnum):
    """How the answer of a queue's function is read: not at all, or with what it lists as failed.

    LISTED is ReportBatchItemFailures. GROUPS extends each reported failure to what follows it in its group
    (`fifo_failure: group`, D6).
    """

    NONE = "none"
    LISTED = "listed"
    GROUPS = "groups"


def judge(records: Sequence[Record], reply: Reply, reports: Reports) -> Verdict:
    """The verdict on `records`, which the target answered with `reply`."""
    match reply:
        case Refused(outcome=outcome, message=message, retry_after=asked):
            return Verdict(outcome, refused=tuple(records), retry_after=asked, why=message)
        case Errored(outcome=outcome, message=message):
            return Verdict(outcome, failed=tuple(records), why=message)
        case Returned(payload=payload) if reports is not Reports.NONE:
            return _answered(records, payload, reports)
        case _:
            return Verdict(Outcome.SUCCESS, done=tuple(records))


def _answered(records: Sequence[Record], payload: bytes, reports: Reports) -> Verdict:
    reported = failed_ids(payload, {record.id for record in records})
    if isinstance(reported, Unreadable):
        return Verdict(Outcome.FUNCTION_ERROR, failed=tuple(records), why=reported.why)
    if not reported:
        return Verdict(Outcome.SUCCESS, done=tuple(records))
    failed = rest_of_groups(records, reported) if reports is Reports.GROUPS else reported
    return Verdict(
        Outcome.PARTIAL,
        done=tuple(record for record in records if record.id not in failed),
        failed=tuple(record for record in records if record.id in failed),
    )


def rest_of_groups(records: Sequence[Record], failed: Collection[str]) -> frozenset[str]:
    """`failed` and, of each group with a failure in it, everything that comes after the first one."""
    broken: set[str | None] = set()
    result = set()
    for record in records:
        if record.id in failed:
            broken.add(record.key)
        if record.key in broken:
            result.add(record.id)
    return frozenset(result)
