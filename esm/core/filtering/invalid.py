"""A pattern that cannot be compiled, said in AWS's words and ours."""

Path = tuple[str | int, ...]

AWS_SAYS = "Invalid filter pattern definition."
"""The text of AWS's `InvalidParameterValueException`."""


class InvalidPattern(ValueError):
    """`path` leads to the place inside the pattern, `reason` says what is wrong there."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{AWS_SAYS} {named(path)} {reason}")


def named(path: Path) -> str:
    """`body.items[0].numeric`, as in a configuration; the pattern itself has no name."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the pattern"
