"""Options of a Python target."""

from typing import Annotated

from pydantic import Field, field_validator

from esm.options import TargetOptions


class PythonOptions(TargetOptions):
    """`handler`: `package.module:function`.

    `workers`: processes for a synchronous handler, None for one per core; an asynchronous one needs none.
    `path`: where its module is found, None for the working directory.
    """

    handler: str
    workers: Annotated[int, Field(ge=1, le=1000)] | None = None
    path: str | None = None

    @field_validator("handler")
    @classmethod
    def _addressed(cls, handler: str) -> str:
        module, colon, function = handler.partition(":")
        names = [*module.split("."), *function.split(".")]
        if not colon or not all(name.isidentifier() for name in names):
            raise ValueError("write package.module:function")
        return handler
