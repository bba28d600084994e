"""`destination_config` of a mapping: AWS's `on_failure`, and what stands beside it here."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, model_validator

from esm.options import Options

Where = str | Mapping[str, Any]
"""One line, or a mapping with a `type` and its options."""


def _as_in_terraform(schema: dict[str, Any]) -> None:
    schema["properties"]["destination_arn"] = {"type": "string", "description": "As in Terraform: `destination`."}


class OnFailure(Options):
    """Where notices of records go that were given up. Without a destination they are dropped, as on AWS."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra=_as_in_terraform)

    destination: Where = ""
    """An ARN, a URL, or a mapping with a `type`; Terraform's `destination_arn` is understood too."""

    fallback: tuple[Where, ...] = ()
    """Ours: more of them, tried in turn while those before fail."""

    annotate: bool = False
    """Ours: adds attempts, error and the original records to each notice, in a member `esm` beside AWS's own."""

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if not self.destination and (self.fallback or self.annotate):
            raise ValueError("needs a destination: fallback and annotate are nothing without it")
        return self


class DestinationConfig(Options):
    """What becomes of records that are given up."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    on_failure: OnFailure = OnFailure()
