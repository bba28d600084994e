"""The few exceptions the engine acts on. Whatever is expected to happen is a value instead (see `model`)."""

from collections.abc import Sequence


class EsmError(Exception):
    """Base of everything the engine raises on purpose."""


class ConfigError(EsmError):
    """The configuration cannot be applied; nothing was started.

    `problems` holds one line per mistake, each naming file, line and path, what is wrong and what is allowed.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Disconnected(EsmError):
    """A source cannot be used right now: try again later, keep everything else going.

    `code` is short and bounded in number, for metrics (`AccessDenied`, `NonExistentQueue`, `unreachable`).
    `lasting` says that a person has to act (missing queue, denied access), so trying again often is no use.
    """

    def __init__(self, code: str, reason: str, *, lasting: bool = False) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.lasting = lasting


class Awaited(Disconnected):
    """Of a source whose client goes on trying by itself: looking again soon asks nobody anything."""


class LaneGone(Disconnected):
    """A lane does not exist any more, nor do its records: once it is not listed either, it counts as ended."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason, lasting=True)


class LostLease(EsmError):
    """Somebody else writes this lane's row by now: stop it quietly, commit nothing more."""


class StoreFailed(EsmError):
    """A store could not be read or written: nothing is known to be saved; try again."""


class Undeliverable(EsmError):
    """A destination did not take a notice; trying again may help."""


class OverLimit(Disconnected):
    """The queue hands out no more messages until some are settled (SQS `OverLimit`): back-pressure, no fault."""

    def __init__(self, reason: str) -> None:
        super().__init__("OverLimit", reason)
