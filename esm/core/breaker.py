"""When a target that refuses is left alone, and when it is tried again.

A refusal never reached the function, so it says something of the target and nothing of the records. Each refused
batch pauses by itself; a target that has refused everything for a while is not called by every batch in turn any
more: its breaker opens, and one probe at a time finds out whether it is back. Whatever reaches the function,
even an error, closes it.
"""

from msgspec import Struct, structs

from esm.core.backoff import Backoff
from esm.model import Outcome

RUN = 5
"""Refusals in a row, with nothing accepted between them, that a breaker opens after."""

LASTED = 10.0
"""Seconds that such a run has lasted at least: a busy target refuses many calls in one moment."""

REFUSALS = frozenset({Outcome.THROTTLED, Outcome.MISCONFIGURED, Outcome.UNREACHABLE})

_COMES_BACK = Backoff(base=1.0, cap=10.0)
_WAITS_FOR_SOMEBODY = Backoff(base=1.0, cap=60.0)
_LONGEST_PAUSE = 300.0  # whatever the target asks for: somebody has to find out when it is back


def pause_after(outcome: Outcome, refusals: int, asked: float | None, chance: float) -> float:
    """Seconds before a call that was refused `refusals` times in a row is made again.

    A target that is busy or down comes back by itself, so it is asked again soon; one that is configured wrongly
    waits for a person. `asked` is what the target wants, `chance` uniform in [0, 1).
    """
    backoff = _WAITS_FOR_SOMEBODY if outcome is Outcome.MISCONFIGURED else _COMES_BACK
    return max(backoff.pause(refusals, chance), min(asked or 0.0, _LONGEST_PAUSE))


class Breaker(Struct, frozen=True):
    """One target's; closed from the start. Moments in monotonic seconds.

    `refusals` came in a row, the first of them at `since`; `opened` and `retry_at` are None while it is closed,
    afterwards when it opened and when the next probe may be sent; `probes` failed since.
    """

    refusals: int = 0
    since: float = 0.0
    opened: float | None = None
    retry_at: float | None = None
    probes: int = 0

    def refused(self, outcome: Outcome, now: float, asked: float | None, chance: float) -> "Breaker":
        """After another refusal; while it is shut, of a call that was sent before."""
        if self.shut_for(now) > 0:
            return structs.replace(self, refusals=self.refusals + 1)
        refusals, since = self.refusals + 1, self.since if self.refusals else now
        if self.opened is None and (refusals < RUN or now - since < LASTED):
            return Breaker(refusals, since)
        probes = self.probes + 1
        opened = now if self.opened is None else self.opened
        return Breaker(refusals, since, opened, now + pause_after(outcome, probes, asked, chance), probes)

    def shut_for(self, now: float) -> float:
        """Seconds for which nothing may be sent; 0 if it is closed, or a probe is due."""
        return 0.0 if self.retry_at is None else max(0.0, self.retry_at - now)


CLOSED = Breaker()
"""After anything that reached the function."""
