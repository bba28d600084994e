"""A function that runs on this machine: who it is told that it is, and how it ended, in Lambda's words."""

import functools
import os
import signal

from msgspec import Struct


class Identity(Struct, frozen=True):
    """Which function this is."""

    name: str
    region: str

    @property
    def arn(self) -> str:
        """The account is nobody's."""
        return f"arn:aws:lambda:{self.region}:000000000000:function:{self.name}"


@functools.cache
def memory() -> int:
    """In MiB; the machine's, because nothing less is enforced."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def overdue(seconds: float) -> str:
    """It took longer than it may."""
    return f"Task timed out after {seconds:.2f} seconds"


def ended(code: int | None) -> str:
    """How its process ended."""
    if code is not None and code < 0:
        return f"the function's process was ended by {signal.strsignal(-code) or f'signal {-code}'}"
    return f"the function's process ended with exit code {code}"
