"""The base of every options model, and the value types they share.

Options live beside the component they configure; each model is frozen and refuses unknown keys. Durations are
seconds as numbers or text with a unit; secrets never print.
"""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_NO_DURATION = "{} is no duration: write seconds as a number, or text such as 500ms, 30s, 5m, 1h"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_LISTEN = re.compile(r"(?P<host>\[[^\]]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")


class Options(BaseModel):
    """Options of one component as they stand in the YAML, in snake_case."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def seconds(value: object) -> object:
    """`30`, `"30"` (from the environment), `"30s"`, `"1h30m"` to seconds; else left for the model to refuse.

    Raises ValueError for text that is no duration, and for `true`, which would count as one second.
    """
    if isinstance(value, bool):
        raise ValueError(_NO_DURATION.format("true or false"))  # noqa: TRY004 - pydantic collects ValueError only
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        raise ValueError(_NO_DURATION.format(repr(value)))
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


def address_of(listen: str) -> tuple[str, int]:
    """Host, without the brackets of an IPv6 address, and port.

    Raises ValueError for text that is no address to listen on.
    """
    match = _LISTEN.fullmatch(listen)
    if match is None or int(match["port"]) > 65535 or not _is_host(match["host"]):
        raise ValueError(
            "is no address to listen on: write host:port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080"
        )
    return match["host"].strip("[]"), int(match["port"])


def _is_host(text: str) -> bool:
    """In brackets only an IPv6 address may stand."""
    if not text.startswith("["):
        return True
    try:
        return bool(ipaddress.IPv6Address(text[1:-1]).exploded)
    except ValueError:
        return False


def _listens(text: str) -> str:
    address_of(text)
    return text


Duration = Annotated[float, BeforeValidator(seconds, json_schema_input_type=float | str)]
Listen = Annotated[str, AfterValidator(_listens)]
"""An address to listen on as it is written; `address_of` takes it apart."""

Secret = SecretStr


class TargetOptions(Options):
    """What the options of every target begin with.

    `timeout`: seconds for one call, at most the 15 minutes of AWS; 30 where Lambda has 3, because these are
    services (docs/decisions/0018-target-timeout-of-30-seconds.md). What it is counted from is the target's to say.
    """

    timeout: Annotated[Duration, Field(gt=0, le=900)] = 30.0
