"""What a call over HTTP means that has no answer: the same for every target that is called so."""

from esm.clients.http import Broken, Lapsed, Unreached
from esm.model import Errored, Outcome, Refused
from esm.targets.thrown import short


def unanswered(ending: Unreached | Lapsed | Broken, timeout: float) -> Errored | Refused:
    """Nobody was reached, or somebody may have been and it counts. `timeout` in seconds, for the message."""
    match ending:
        case Unreached(why=why):
            return Refused(Outcome.UNREACHABLE, why)
        case Broken(why=why):
            return Errored(Outcome.FUNCTION_ERROR, short(why))
        case Lapsed():
            return Errored(Outcome.TIMEOUT, f"no complete answer within {timeout:g} s")
