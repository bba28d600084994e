"""The command `esm`. What a command needs is imported when it runs: `esm --version` loads neither AWS nor YAML."""


def main() -> None:
    """The entry point; ends the process with the command's exit code."""
    from esm.cli.app import app  # noqa: PLC0415 - whoever only imports the package pays nothing

    app()
