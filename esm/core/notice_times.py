"""Times as an invocation record spells them: UTC, `2019-11-14T00:38:06.021Z`, or without the milliseconds.

Arithmetic instead of a calendar library, because the core has no clock and the libraries that know calendars do.
"""

_DAY = 86_400
_ERA = 146_097  # days in 400 years
_EPOCH = 719_468  # days from the first of March of year 0 to the first of January 1970


def with_milliseconds(at: float) -> str:
    """`at` (epoch seconds) to the nearest millisecond: in binary, most milliseconds lie just beside theirs."""
    seconds, milliseconds = divmod(round(at * 1000), 1000)
    return f"{_text(seconds)}.{milliseconds:03}Z"


def without_milliseconds(at: float) -> str:
    """`at` (epoch seconds), cut to seconds."""
    return f"{_text(round(at * 1000) // 1000)}Z"


def _text(seconds: int) -> str:
    days, second = divmod(seconds, _DAY)
    year, month, day = _date(days)
    return f"{year:04}-{month:02}-{day:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def _date(days: int) -> tuple[int, int, int]:
    """Year, month and day, `days` after 1 January 1970; a leap day is the last of years from March on."""
    era, of_era = divmod(days + _EPOCH, _ERA)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153  # from March, in steps of 30.6 days
    day = of_year - (153 * month + 2) // 5 + 1
    in_next = month >= 10
    return year + era * 400 + in_next, month + (-9 if in_next else 3), day
