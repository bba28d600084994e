"""Options of a runtime target. Whoever reaches an open listener could take events, so that one needs a secret."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from esm.options import Listen, Secret, TargetOptions, address_of

_SECRET = re.compile(r"[A-Za-z0-9_-]{16,}")
_FUNCTION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = "AWS_LAMBDA_RUNTIME_API"


class RuntimeOptions(TargetOptions):
    """`function_name`: what the function is told it is called, None for the target's name. `timeout` runs
    from when a worker has the event.

    `command` starts `workers` processes, with `environment` added, in `working_directory` (None: the
    engine's). `listen`: host:port where workers from outside attach, behind `secret` as a path prefix.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    listen: Listen | None = None
    secret: Secret | None = None
    function_name: str | None = None
    command: tuple[str, ...] | None = None
    workers: Annotated[int, Field(ge=1, le=1000)] = 1
    environment: Mapping[str, Secret] = Field(default_factory=dict)
    working_directory: str | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host, without the brackets of IPv6, and port to listen on."""
        return None if self.listen is None else address_of(self.listen)

    @property
    def slots(self) -> int | None:
        """How many calls there can be at once; None where workers from outside may join."""
        return self.workers if self.command and not self.listen else None

    @field_validator("secret")
    @classmethod
    def _secret(cls, secret: Secret | None) -> Secret | None:
        if secret is not None and not _SECRET.fullmatch(secret.get_secret_value()):
            raise ValueError("needs at least 16 letters, digits, - or _: it becomes part of an address")
        return secret

    @field_validator("function_name")
    @classmethod
    def _named(cls, name: str | None) -> str | None:
        if name is not None and not _FUNCTION.fullmatch(name):
            raise ValueError("is no name of a function: 1 to 64 letters, digits, - or _, as on AWS")
        return name

    @field_validator("command")
    @classmethod
    def _runnable(cls, command: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if command is not None and (not command or not command[0] or any("\0" in word for word in command)):
            raise ValueError("write a program and its arguments: [python, -m, awslambdaric, app.handler]")
        return command

    @field_validator("environment")
    @classmethod
    def _settable(cls, variables: Mapping[str, Secret]) -> Mapping[str, Secret]:
        for name, value in variables.items():
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a variable")
            if name == _ADDRESS:
                raise ValueError(f"{name} is set by the engine: it is how a worker finds it")
            if "\0" in value.get_secret_value():
                raise ValueError(f"{name} holds a null character")
        return variables

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.command is None and self.listen is None:
            raise ValueError("give command (the engine starts the workers), listen (they attach), or both")
        alone = [name for name in ("workers", "environment", "working_directory") if name in self.model_fields_set]
        if self.command is None and alone:
            raise ValueError(f"{alone[0]} needs command: a worker from outside has its own")
        if self.secret is not None and self.listen is None:
            raise ValueError("secret needs listen: the workers of command have ports of their own")
        if self.secret is None and self.address is not None and not is_loopback(self.address[0]):
            raise ValueError(
                f"listen {self.listen} can be reached from other machines: set secret (16 characters or more) and "
                f"attach with {_ADDRESS}=HOST:PORT/SECRET, or listen on 127.0.0.1"
            )
        return self


def is_loopback(host: str) -> bool:
    """True if nobody else than this machine can connect there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
