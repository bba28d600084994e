"""The commands and their options; what they do is in the modules beside this one.

Exit codes: 0 all is well; 1 it ran, and not everything ended well; 2 nothing was started, because the command
line or the configuration is wrong.
"""

# ruff: noqa: PLC0415 - each command imports what it needs, so that the others start fast

import json
from typing import Annotated, Literal

import typer

from esm import __version__
from esm.cli.complain import no_config
from esm.cli.config_option import Config
from esm.cli.state.commands import state

app = typer.Typer(
    name="esm",
    help="Self-hosted event source mappings: queues and streams drive functions with the semantics of AWS Lambda.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.add_typer(state)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"esm {__version__}")
        raise typer.Exit


@app.callback()
def esm(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: `esm run --config /etc/esm`, `esm run -c esm.yaml --log-format console`")
def run(
    config: Config = None,
    log_format: Annotated[
        Literal["auto", "json", "console"] | None,
        typer.Option(help="Instead of `log.format`: `auto` is JSON, but readable lines on a terminal."),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, typer.Option(help="Instead of `log.level`.")
    ] = None,
) -> None:
    """Run the engine until SIGTERM or Ctrl-C.

    It then takes no new work and lets what is under way finish, for at most `shutdown_grace`; a second signal
    stops it at once. Exit code 0: everything was settled. 1: not everything, the log lists what. 2: the
    configuration is wrong, nothing was started.
    """
    from esm.cli.run import run as run_engine

    raise typer.Exit(run_engine(config or no_config("run"), log_format, log_level))


@app.command(epilog="Example: `esm validate --config config/`, `esm validate -c esm.yaml --connect`")
def validate(
    config: Config = None,
    *,
    connect: Annotated[
        bool,
        typer.Option("--connect", help="Also ask sources, targets, destinations and the state."),
    ] = False,
) -> None:
    """Say everything that is wrong with a configuration, all at once.

    Exit code 0: it can run, perhaps with warnings. 2: it cannot; each problem is a line on standard error, as
    `file:line: path: what is wrong`.
    """
    from esm.cli.validate import validate as check

    raise typer.Exit(check(config or no_config("validate"), connect=connect))


@app.command(
    "iam-policy",
    epilog="Example: `esm iam-policy -c esm.yaml`, `esm iam-policy -c esm.yaml --mapping orders > p.json`",
)
def iam_policy(
    config: Config = None,
    mapping: Annotated[str | None, typer.Option(help="Only this mapping's policy, ready to paste.")] = None,
    role: Annotated[
        str | None, typer.Option(metavar="ARN", help="With --mapping: what this role needs, which is assumed.")
    ] = None,
) -> None:
    """Print the least that each mapping has to be allowed on AWS, as IAM policies in JSON.

    Nothing is connected to. Where the configuration does not say account or region, `*` stands in the ARN, and a
    warning says so. Exit code 2: the configuration is wrong, or there is no such mapping or role.
    """
    from esm.cli.iam_policy import iam_policy as show

    raise typer.Exit(show(config or no_config("iam-policy"), mapping, role))


@app.command(
    "filter",
    epilog="""Example: `esm filter --pattern '{"body": {"status": ["paid"]}}' --event event.json --explain`,
    `esm filter --pattern criteria.json --event kafka-event.json --source kafka`""",
)
def try_filter(
    pattern: Annotated[
        str,
        typer.Option(
            metavar="FILE_OR_JSON",
            help='One pattern, or a whole FilterCriteria: {"Filters": [{"Pattern": …}]}. A .yaml file holds YAML.',
        ),
    ],
    event: Annotated[
        str, typer.Option(metavar="FILE_OR_JSON", help="A record, or an event with several, as functions get it.")
    ],
    source: Annotated[
        Literal["sqs", "kinesis", "dynamodb", "kafka", "mq", "none"],
        typer.Option(help="What the records are from; `none` matches the event as it is, as EventBridge does."),
    ] = "sqs",
    *,
    explain: Annotated[bool, typer.Option("--explain", help="Also say which field decided.")] = False,
    strict_aws: Annotated[
        bool, typer.Option("--strict-aws", help="Refuse operators that AWS has for event buses only.")
    ] = False,
) -> None:
    """Try a filter pattern on an event. Nothing is connected to, and no configuration is needed.

    Several records (`Records`, a list, the topics of a Kafka event, JSON lines) give a line each. Exit code 0: a
    record matches. 1: none does. 2: the pattern is invalid, for the reason on standard error.
    """
    from esm.cli.filter import try_filter as run_filter

    raise typer.Exit(run_filter(pattern, event, source, explain=explain, strict=strict_aws))


@app.command(epilog="Example: `esm schema > esm.schema.json`, for the YAML support of your editor")
def schema() -> None:
    """Print the JSON Schema of the configuration, the installed plugins' options included."""
    from esm.config import Catalog, json_schema

    typer.echo(json.dumps(json_schema(Catalog.installed()), indent=2))


@app.command(epilog="Example: `esm demo`, `esm demo --serve --port 9500`")
def demo(
    *,
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep running with a trickle of messages, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="For metrics and status; another is taken if it is in use.")
    ] = 9464,
) -> None:
    """Watch the engine at work on this machine, and see it proved that nothing gets lost.

    Starts an AWS emulator on 127.0.0.1 (installed once into the cache folder), fills a standard and a FIFO queue,
    a Kinesis stream and a DynamoDB table, poison among it all, runs the engine with a Python function that fails
    partially, and draws up the account from the queues and the function's own journal. Exit code 0: it balances.
    1: it does not.

    The stream is split while it is read, if node and npm are there to fetch a server that can (once, too).
    """
    from esm.cli.demo import demo as play_demo

    raise typer.Exit(play_demo(serve=serve, port=port))


@app.command(epilog="Example: `esm status`, `esm status --url http://10.0.0.7:9464 --json`")
def status(
    url: Annotated[
        str, typer.Option(envvar="ESM_URL", help="Where the engine listens, as in its `server.listen`.")
    ] = "http://127.0.0.1:9464",
    *,
    lanes: Annotated[bool, typer.Option("--lanes", help="The lanes of logs as well, such as shards.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What the engine says, as it says it.")] = False,
) -> None:
    """Show what the mappings of a running engine are doing.

    Exit code 1: no engine answers there.
    """
    from esm.cli.status import status as show

    raise typer.Exit(show(url, lanes=lanes, as_json=as_json))
