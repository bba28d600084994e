"""`esm iam-policy`: the least that a mapping has to be allowed on AWS, as policies of IAM.

A role that is assumed has a policy of its own; the engine's identity then needs no more than to assume it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from esm.cli.complain import NOT_STARTED, lines, warnings
from esm.config import load
from esm.config.permissions import permissions_of
from esm.errors import ConfigError
from esm.plugins import Permission

Policies = Mapping[str | None, Sequence[Permission]]
"""By the role that needs them, None for the engine's own identity."""


def iam_policy(path: Path, mapping: str | None, role: str | None) -> int:
    """The exit code. `mapping` and `role` narrow it down to one policy."""
    try:
        config = load(path).config
    except ConfigError as error:
        lines(error.problems)
        return NOT_STARTED
    found = {name: policies(permissions_of(each, config)) for name, each in config.mappings.items()}
    if mapping is not None:
        return _one(found, mapping, role)
    if role is not None:
        lines(["--role needs --mapping"])
        return NOT_STARTED
    for name, of_mapping in found.items():
        _say_unknown(name, of_mapping)
    _print({_title(name, who): _policy(needs) for name, each in found.items() for who, needs in each.items()})
    return 0


def policies(needed: Sequence[Permission]) -> Policies:
    """Who needs what; whoever is assumed has to be assumed by the engine's own identity."""
    roles = sorted({each.role for each in needed if each.role is not None})
    own = [each for each in needed if each.role is None]
    own += [Permission(("sts:AssumeRole",), role) for role in roles]
    return {None: own, **{role: [each for each in needed if each.role == role] for role in roles}}


def _one(found: Mapping[str, Policies], mapping: str, role: str | None) -> int:
    if mapping not in found:
        lines([f"there is no mapping {mapping}: there are {', '.join(sorted(found)) or 'none'}"])
        return NOT_STARTED
    chosen = found[mapping]
    roles = [who for who in chosen if who is not None]
    if role not in chosen:
        lines([f"{mapping} assumes no role {role}: {', '.join(roles) or 'it assumes none'}"])
        return NOT_STARTED
    if role is None:
        lines(f"note: this role needs a policy of its own: --mapping {mapping} --role {who}" for who in roles)
    _say_unknown(mapping, {role: chosen[role]})
    _print(_policy(chosen[role]))
    return 0


def _say_unknown(mapping: str, found: Policies) -> None:
    resources = dict.fromkeys(each.resource for needs in found.values() for each in needs if _is_vague(each))
    warnings(
        f"mappings.{mapping}: the configuration does not say all of {resource}: write it instead of each *"
        for resource in resources
    )


def _is_vague(need: Permission) -> bool:
    """What stands below something that is named, such as the objects of a bucket, is all meant."""
    return "*" in need.resource.removesuffix("/*")


def _title(mapping: str, role: str | None) -> str:
    return mapping if role is None else f"{mapping} as {role}"


def _policy(needs: Sequence[Permission]) -> Mapping[str, Any]:
    return {"Version": "2012-10-17", "Statement": [_statement(each) for each in needs]}


def _statement(need: Permission) -> Mapping[str, Any]:
    condition = {"Condition": need.condition} if need.condition else {}
    return {"Effect": "Allow", "Action": need.actions, "Resource": need.resource, **condition}


def _print(document: object) -> None:
    typer.echo(json.dumps(document, indent=2))
