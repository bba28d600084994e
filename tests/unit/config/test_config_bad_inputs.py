"""The bad inputs that were tried, each with the exact line that its author gets to read."""

from pathlib import Path

import pytest
from config_fakes import FIFO, ORDERS, body, problems

SINGLE = {
    # options of a mapping: unknown, of the wrong shape, out of range
    "batch_sise: 5": "batch_sise: unknown option; did you mean `batch_size`?",
    "BatchSise: 5": "BatchSise: unknown option; did you mean `BatchSize`?",
    "batch_size: 0": "batch_size: 0 is out of range: allowed is 1 to 10000",
    "batch_size: 10001": "batch_size: 10001 is out of range: allowed is 1 to 10000",
    "batch_size: true": "batch_size: true is not allowed: has to be a number",
    "batch_size: many": "batch_size: many is not allowed: has to be a whole number, 1 to 10000",
    "batch_size: 2.5": "batch_size: 2.5 is not allowed: has to be a whole number, 1 to 10000",
    "batch_size: .nan": "batch_size: .nan is not allowed: has to be a number, 1 to 10000",
    "batch_size: [1]": "batch_size: a list is not allowed: has to be a whole number, 1 to 10000",
    "batch_size: 11": (
        "batch_size: Maximum batch window in seconds must be greater than 0 if maximum batch size is greater "
        "than 10: set maximum_batching_window_in_seconds"
    ),
    "maximum_batching_window_in_seconds: 301": (
        "maximum_batching_window_in_seconds: 301 is out of range: allowed is 0 to 300 seconds"
    ),
    "maximum_batching_window_in_seconds: 6m": (
        "maximum_batching_window_in_seconds: 6m is out of range: allowed is 0 to 300 seconds"
    ),
    "maximum_batching_window_in_seconds: 500ms": (
        "maximum_batching_window_in_seconds: 500ms has to be whole seconds, as on AWS"
    ),
    "maximum_batching_window_in_seconds: 5x": (
        "maximum_batching_window_in_seconds: '5x' is no duration: write seconds as a number, or text such as "
        "500ms, 30s, 5m, 1h"
    ),
    "maximum_batching_window_in_seconds: true": (
        "maximum_batching_window_in_seconds: true or false is no duration: write seconds as a number, or text "
        "such as 500ms, 30s, 5m, 1h"
    ),
    "enabled: maybe": "enabled: maybe is not allowed: has to be true or false",
    "function_response_types: [ReportBatchItemFailure]": (
        "function_response_types[0]: ReportBatchItemFailure is not allowed: allowed is ReportBatchItemFailures; "
        "did you mean `ReportBatchItemFailures`?"
    ),
    "function_response_types: ReportBatchItemFailures": (
        "function_response_types: ReportBatchItemFailures is not allowed: has to be a list: write "
        "[ReportBatchItemFailures]"
    ),
    "function_response_types: A and.B": (
        "function_response_types: A and.B is not allowed: has to be a list: write [A, and.B]"
    ),
    "function_response_types: [ReportBatchItemFailures, ReportBatchItemFailures]": (
        "function_response_types: has 2 entries: at most 1 allowed"
    ),
    "scaling_config: {maximum_concurrency: 1}": (
        "scaling_config.maximum_concurrency: 1 is out of range: allowed is 2 to 1000"
    ),
    "scaling_config: {maximum_concurrency: 1001}": (
        "scaling_config.maximum_concurrency: 1001 is out of range: allowed is 2 to 1000"
    ),
    "ScalingConfig: {MaximumConcurency: 5}": (
        "ScalingConfig.MaximumConcurency: unknown option; did you mean `MaximumConcurrency`?"
    ),
    "scaling_config: 5": "scaling_config: 5 is not allowed: has to be a mapping (key: value)",
    "maximum_concurrency: 5": "maximum_concurrency: belongs below `scaling_config`",
    "provisioned_poller_config: {minimum_pollers: 1}": (
        "provisioned_poller_config.minimum_pollers: 1 is out of range: allowed is 2 to 200"
    ),
    "provisioned_poller_config: {minimum_pollers: 9, maximum_pollers: 3}": (
        "provisioned_poller_config.minimum_pollers: 9 is above maximum_pollers, 3"
    ),
    "provisioned_poller_config: {poller_group_name: x}": (
        "provisioned_poller_config.poller_group_name: unknown option: known are "
        "maximum_pollers and minimum_pollers"
    ),
    "max_hold: 13h": "max_hold: 13h is out of range: allowed is 0 to 43200 seconds",
    "concurrency: 0": "concurrency: 0 is out of range: allowed is 1 to 10000",
    # options that other sources have
    "starting_position: LATEST": (
        "starting_position: is not supported for SQS standard queues: Kinesis, DynamoDB Streams, Amazon MSK, "
        "self-managed Kafka and DocumentDB support it"
    ),
    "ParallelizationFactor: 2": (
        "ParallelizationFactor: is not supported for SQS standard queues: Kinesis, DynamoDB Streams, Amazon MSK "
        "and self-managed Kafka support it; use scaling_config.maximum_concurrency"
    ),
    "maximum_retry_attempts: 3": (
        "maximum_retry_attempts: is not supported for SQS standard queues: Kinesis, DynamoDB Streams, Amazon MSK "
        "and self-managed Kafka support it; use maxReceiveCount of the queue's redrive policy"
    ),
    "DestinationConfig: {OnFailure: {Destination: arn:aws:sqs:eu-west-1:123456789012:dead}}": (
        "DestinationConfig.OnFailure: is not supported for SQS standard queues: Kinesis, DynamoDB Streams, Amazon "
        "MSK and self-managed Kafka support it; use the queue's redrive policy"
    ),
    "Topics: [a]": (
        "Topics: is not supported for SQS standard queues: Amazon MSK and self-managed Kafka support it"
    ),
    "document_db_event_source_config: {}": (
        "document_db_event_source_config: is not supported for SQS standard queues: DocumentDB supports it"
    ),
    "source_access_configurations: [{type: BASIC_AUTH, uri: x}]": (
        "source_access_configurations: is not supported for SQS standard queues: Amazon MSK, self-managed Kafka, "
        "ActiveMQ, RabbitMQ and DocumentDB support it"
    ),
    "fifo_failure: group": (
        "fifo_failure: is not supported for SQS standard queues: only SQS FIFO has message groups"
    ),
    # what AWS refuses
    "destination_config: {on_success: {destination: x}}": (
        "destination_config.on_success: Unsupported DestinationConfig parameter for given "
        "event source mapping type."
    ),
    "invocation_type: Event": (
        "invocation_type: a mapping invokes synchronously; asynchronous (Event) invocation is another feature of "
        "AWS Lambda"
    ),
    # pasted CloudFormation
    "Enabled: !Ref Switch": (
        "Enabled: unresolved CloudFormation intrinsic `!Ref`: write the value it stands for, or ${NAME} to take "
        "it from the environment"
    ),
    "BatchSize: !GetAtt [A, B]": (
        "BatchSize: unresolved CloudFormation intrinsic `!GetAtt`: write the value it stands for, or ${NAME} to "
        "take it from the environment"
    ),
    "BatchSize: {Ref: Size}": (
        "BatchSize: unresolved CloudFormation intrinsic `Ref`: write the value it stands for, or ${NAME} to take "
        "it from the environment"
    ),
    'BatchSize: {"Fn::Sub": "${Size}"}': (
        "BatchSize: unresolved CloudFormation intrinsic `Fn::Sub`: write the value it stands for, or ${NAME} to "
        "take it from the environment"
    ),
    "Properties: {BatchSize: 5}": (
        "Properties: put what is inside `Properties` here, without `Type` and `Properties`"
    ),
    # interpolation
    "batch_size: ${NOPE}": (
        "batch_size: the environment has no variable `NOPE`: set it, or write ${NOPE:-default}"
    ),
    "batch_size: ${N:-0}": "batch_size: ${N:-0} is out of range: allowed is 1 to 10000",
    "batch_size: ${1X}": (
        "batch_size: `${1X}` is no expression: write ${NAME}, ${NAME:-default}, ${file:/absolute/path}, or $${ "
        "for a literal ${"
    ),
    "batch_size: ${A-b}": (
        "batch_size: `${A-b}` is no expression: write ${NAME}, ${NAME:-default}, ${file:/absolute/path}, or $${ "
        "for a literal ${"
    ),
    "batch_size: ${A": (
        "batch_size: `${` without `}`: write ${NAME}, ${NAME:-default}, ${file:/absolute/path}, or $${ for a "
        "literal ${"
    ),
    "batch_size: ${A:-${B}}": (
        "batch_size: the default of `A` cannot hold another `${`: write ${NAME}, ${NAME:-default}, "
        "${file:/absolute/path}, or $${ for a literal ${"
    ),
    "batch_size: ${file:x}": "batch_size: `${file:x}`: the path has to be absolute",
    "batch_size: ${file:/no/such}": "batch_size: `/no/such` cannot be read: No such file or directory",
    "batch_size: ${file:/}": "batch_size: `/` cannot be read: Is a directory",
    # YAML
    "batch_size: !!python/object:os.system x": (
        "batch_size: the tag 'python/object:os.system' is not supported: plain YAML only"
    ),
    "batch_size: !!int x": "batch_size: cannot be read as its tag or its digits say",
    f"batch_size: {'9' * 5000}": "batch_size: cannot be read as its tag or its digits say",
}


@pytest.mark.parametrize(("given", "said"), SINGLE.items(), ids=[given[:60] for given in SINGLE])
def test_one_bad_option(tmp_path: Path, given: str, said: str) -> None:
    assert problems(tmp_path, body(given)) == [f"esm.yaml:5: mappings.m.{said}"]


SOURCES = {
    "http://localhost:4566/000000000000/orders": (
        "http://localhost:4566/000000000000/orders is no source: a queue URL outside AWS goes into "
        '{type: sqs, queue_url: "…"}'
    ),
    "arn:aws:kinesis:eu-west-1:123456789012:stream/x": "Kinesis is no source of this version, which has sqs",
    "arn:aws:dynamodb:eu-west-1:123456789012:table/x/stream/y": (
        "DynamoDB Streams is no source of this version, which has sqs"
    ),
    "arn:aws:mq:eu-west-1:123456789012:broker:x:y": "Amazon MQ is no source of this version, which has sqs",
    "arn:aws:rds:eu-west-1:123456789012:cluster:x": "DocumentDB is no source of this version, which has sqs",
    "orders": (
        "orders is no source: write an ARN such as arn:aws:sqs:eu-west-1:123456789012:orders, "
        "kafka://HOST:PORT/TOPIC, or {type: sqs, …}"
    ),
    "5": "5 is no source: write one line, or a mapping with `type`",
    "[a]": "a list is no source: write one line, or a mapping with `type`",
    "{}": "is empty: write one line, or a mapping with `type`",
    "{type: sqs}": "needs either arn or queue_url",
    "{type: sqs, queue_url: http://nonsense/x}": "http://nonsense/x is no queue",
}


@pytest.mark.parametrize(("given", "said"), SOURCES.items(), ids=list(SOURCES))
def test_a_bad_source(tmp_path: Path, given: str, said: str) -> None:
    assert problems(tmp_path, body(source=given)) == [f"esm.yaml:3: mappings.m.source: {said}"]


BELOW_SOURCE = {
    "{arn: x}": "type: is required but missing: this version has sqs",
    "{type: sqss, arn: x}": "type: there is no source of type sqss: this version has sqs; did you mean `sqs`?",
    "{type: kinesis, arn: x}": "type: there is no source of type kinesis: this version has sqs",
    f"{{type: sqs, arn: {ORDERS}, qeue_url: x}}": "qeue_url: unknown option; did you mean `queue_url`?",
    f"{{type: sqs, arn: {ORDERS}, aws: {{regoin: x}}}}": "aws.regoin: unknown option; did you mean `region`?",
    f"{{type: sqs, arn: {ORDERS}, wait_time_seconds: 21}}": (
        "wait_time_seconds: 21 is out of range: allowed is 1 to 20"
    ),
}


@pytest.mark.parametrize(("given", "said"), BELOW_SOURCE.items(), ids=list(BELOW_SOURCE))
def test_a_bad_option_of_a_source(tmp_path: Path, given: str, said: str) -> None:
    assert problems(tmp_path, body(source=given)) == [f"esm.yaml:3: mappings.m.source.{said}"]


TARGETS = {
    "localhost:8080": ": localhost:8080 is no target; did you mean `http://localhost:8080`?",
    "billing": (
        ": there is no target `billing`: define it below `targets:`, or write a URL, lambda:NAME, "
        "python:module:handler, or {type: …}"
    ),
    "ftp://x": ": ftp://x is no target: this version has the types http, as a URL or {type: …}",
    "arn:aws:lambda:eu-west-1:123456789012:function:f": (
        ": arn:aws:lambda:eu-west-1:123456789012:function:f is no target: this version has the types http, "
        "as a URL or {type: …}"
    ),
    "{url: http://x}": ".type: is required but missing: this version has http",
    "{type: htp, url: http://x}": (
        ".type: there is no target of type htp: this version has http; did you mean `http`?"
    ),
    "{type: http}": ".url: is required but missing",
    "{type: http, url: http://x, tiemout: 3}": ".tiemout: unknown option; did you mean `timeout`?",
    "{type: http, url: http://x, Timeout: 3}": ".Timeout: unknown option; did you mean `timeout`?",
    "{type: http, url: http://x, headers: {k: 5}}": (
        ".headers.k: the value is not allowed: has to be text: put it in quotes"
    ),
    "{type: http, url: http://x, reserved_concurency: 3}": (
        ".reserved_concurency: unknown option; did you mean `reserved_concurrency`?"
    ),
    "{type: http, url: http://x, timeout: 901}": (
        ".timeout: 901 is out of range: allowed is above 0 and at most 900 seconds"
    ),
    "{type: http, url: http://x, timeout: 0}": (
        ".timeout: 0 is out of range: allowed is above 0 and at most 900 seconds"
    ),
    "{type: http, url: http://x, reserved_concurrency: -1}": (
        ".reserved_concurrency: -1 is out of range: allowed is 0 to 100000"
    ),
    "{type: http, url: http://x, reserved_concurrency: true}": (
        ".reserved_concurrency: true is not allowed: has to be a number"
    ),
    "{type: http, url: http://x, invocations_per_second: 0}": (
        ".invocations_per_second: 0 is out of range: allowed is above 0"
    ),
    "{type: http, url: http://x, invocations_per_second: .inf}": (
        ".invocations_per_second: .inf is not allowed: has to be a number, above 0"
    ),
    "{type: http, url: ftp://user:hunter2@x}": ".url: ftp://***@x is not allowed: has to match ^https?://",
    "{type: http, url: http://x, tls: {}}": ".tls.ca: is required but missing",
    "{type: http, url: http://x, bearer: {hunter2: 1}}": ".bearer: the value is not allowed: has to be text",
    "{type: http, url: http://x, headers: {k: [hunter2]}}": ".headers.k: the value is not allowed: has to be text",
    "{type: http, url: http://x, invocation_type: Event}": (
        ".invocation_type: a mapping invokes synchronously; asynchronous (Event) invocation is another feature of "
        "AWS Lambda"
    ),
}


@pytest.mark.parametrize(("given", "said"), TARGETS.items(), ids=list(TARGETS))
def test_a_bad_target(tmp_path: Path, given: str, said: str) -> None:
    assert problems(tmp_path, body(target=given)) == [f"esm.yaml:4: mappings.m.target{said}"]


FIFO_OPTIONS = {
    "batch_size: 11": "batch_size: 11 is out of range for an SQS FIFO queue: allowed is 1 to 10",
    "maximum_batching_window_in_seconds: 5": (
        "maximum_batching_window_in_seconds: is not supported for SQS FIFO queues: SQS "
        "standard, Kinesis, DynamoDB "
        "Streams, Amazon MSK, self-managed Kafka, ActiveMQ, RabbitMQ and DocumentDB support it"
    ),
    "fifo_failure: grop": ("fifo_failure: grop is not allowed: allowed are aws, group; did you mean `group`?"),
}


@pytest.mark.parametrize(("given", "said"), FIFO_OPTIONS.items(), ids=list(FIFO_OPTIONS))
def test_a_bad_option_for_fifo(tmp_path: Path, given: str, said: str) -> None:
    assert problems(tmp_path, body(given, source=FIFO)) == [f"esm.yaml:5: mappings.m.{said}"]


FILES = {
    "mappings:\n\ta: {}": (
        "2: is no YAML: while scanning for the next token: found character '\\t' that cannot start any token "
        "(a tab: indent with spaces)"
    ),
    "mappings: {}\nbatch_size: 5": (
        "2: batch_size: is an option of a mapping: put it below mappings.NAME, or in `defaults`"
    ),
    "mappings: {}\nBatchSize: 5": (
        "2: BatchSize: is an option of a mapping: put it below mappings.NAME, or in `defaults`"
    ),
    "mappings: {}\nAWSTemplateFormatVersion: x\nParameters: {}\nResources: {A: {Type: x}}": (
        "4: Resources: is of a CloudFormation template: paste the `Properties` of each "
        "AWS::Lambda::EventSourceMapping below mappings.NAME"
    ),
    "mappings: {}\nsource: x": "2: source: is an option of a mapping: put it below mappings.NAME",
    "": "1: is empty: it needs at least `mappings:`",
    "# nothing\n": "1: is empty: it needs at least `mappings:`",
    "- a": "1: a list at the top is not allowed: has to be a mapping, with `mappings:`",
    "words": "1: text at the top is not allowed: has to be a mapping, with `mappings:`",
    "mappings:": "1: mappings: is required but missing: a name with `source` and `target`",
    "mappings: []": "1: mappings: a list is not allowed: has to be a mapping of names",
    "mappings: {m: }": "1: mappings.m: is empty: it needs `source` and `target`",
    "mappings: {m: {}}": "1: mappings.m: is empty: it needs `source` and `target`",
    "mappings: {m: x}": "1: mappings.m: x is no mapping: it needs `source` and `target`",
    "mappings: {BatchSize: 2}": (
        "1: mappings.BatchSize: 2 is no mapping: it needs `source` and `target`; an option of a mapping is "
        "indented further"
    ),
    "mappings:\n  m:\n    source: x\n   target: y\n": (
        "4: is no YAML: while parsing a block mapping: expected <block end>, but found '<block mapping start>' "
        "(check how far this line and those above are indented: what stands side by side begins alike)"
    ),
    "mappings: {}\ndefaults: []": "2: defaults: a list is not allowed: has to be a mapping of options",
    "mappings: {}\ndefaults: {Source: x}": "2: defaults.Source: belongs to a mapping: it cannot be a default",
    "mappings: {}\ntargets: {'a/b': http://x/}": (
        "2: targets.a/b: is no name: letters, digits, `_`, `-` and `.`, at most 128"
    ),
    "mappings: {}\nserver: {listen: 9464}": "2: server.listen: 9464 is not allowed: has to be text",
    "mappings: {}\nserver: {listen: 'x:99999'}": (
        "2: server.listen: x:99999 is no address to listen on: write host:port, such as 127.0.0.1:8080, "
        "0.0.0.0:8080 or [::]:8080"
    ),
    "mappings: {}\nserver: {listen: '[nope]:1'}": (
        "2: server.listen: [nope]:1 is no address to listen on: write host:port, such as 127.0.0.1:8080, "
        "0.0.0.0:8080 or [::]:8080"
    ),
    "mappings: {}\nstate: {url: 'sqlite://state.db'}": (
        "2: state.url: sqlite://state.db needs the absolute path of a file, as in a file URL: "
        "sqlite:///var/lib/esm/state.db"
    ),
    "mappings: {}\nstate: {url: 'sqlite:///var/'}": (
        "2: state.url: sqlite:///var/ needs the absolute path of a file, as in a file URL: "
        "sqlite:///var/lib/esm/state.db"
    ),
    "mappings: {}\nstate: {url: redis://x}": (
        "2: state.url: redis://x is no state store: memory:// or sqlite:///absolute/path.db"
    ),
    "mappings: {}\nmemory_limit: lots": (
        "2: memory_limit: lots is no amount of memory: write bytes as a number, or text such as 512MiB or 2GiB"
    ),
    "mappings: {}\nmaximum_concurrency: 0": ("2: maximum_concurrency: 0 is out of range: allowed is 1 to 100000"),
    "mappings: {}\nmemory_limit: 5": "2: memory_limit: 5 is out of range: allowed is 16777216 or more",
    "mappings: {}\nshutdown_grace: -1": "2: shutdown_grace: -1 is out of range: allowed is 0 to 86400 seconds",
    "mappings: {}\nlog: {level: inf}": (
        "2: log.level: inf is not allowed: allowed are debug, info, warning, error; did you mean `info`?"
    ),
    "mappings: {}\nnamespace: ''": "2: namespace: nothing is not allowed: has to be longer: at least 1",
    "mappings: {}\naws: {endpoint_url: x}": "2: aws.endpoint_url: x is not allowed: has to match ^https?://",
    "mappings: {}\nmappings: {}": "2: mappings: duplicate key, first given in line 1",
    "mappings: {}\nMemoryLimits: 5": "2: MemoryLimits: unknown option; did you mean `memory_limit`?",
    "mappings:\n  m: x\n    target: y": (
        "3: is no YAML: mapping values are not allowed here (check how far this line and the one above are "
        "indented; text that holds `: ` needs quotes)"
    ),
    "mappings: {}\nlogs: {}": "2: logs: unknown option; did you mean `log`?",
    "mappings: {}\nx: &x [*x]": "2: x[0]: an anchor contains itself",
    "mappings: {}\nx: [1": "2: is no YAML: while parsing a flow sequence: expected ',' or "
    "']', but got '<stream end>'",
    "mappings: {}\nlog: {level: ${LEVEL}}": (
        "2: is no YAML: while parsing a flow mapping: expected ',' or '}', but got '{' (inside { } and [ ] an "
        'expression needs quotes: "${…}")'
    ),
    "mappings: {}\n\tx: 1": (
        "2: is no YAML: while scanning for the next token: found character '\\t' that cannot start any token "
        "(a tab: indent with spaces)"
    ),
    "mappings: {}\nx: *nope": "2: is no YAML: found undefined alias 'nope'",
    "mappings: {}\n---\nmappings: {}": (
        "2: is no YAML: expected a single document in the stream: but found another document"
    ),
    "mappings: {}\n? [a]\n: b": "2: a key must be text",
    "mappings: {}\nx-y: &y 5\nlog: {<<: *y}": "3: log.<<: `<<` merges a mapping, or a list of mappings",
    "mappings: {}\nx: \x07": "1: is no YAML: unacceptable character #x0007: special characters are not allowed",
    f"mappings: {'[' * 60}{']' * 60}": f"1: mappings{'[0]' * 50}: is nested more than 50 deep",
    f"mappings: {'[' * 3000}": "1: is nested more than 50 deep",
}


@pytest.mark.parametrize(("given", "said"), FILES.items(), ids=[repr(given[:50]) for given in FILES])
def test_a_bad_file(tmp_path: Path, given: str, said: str) -> None:
    assert problems(tmp_path, given) == [f"esm.yaml:{said}"]


def test_aliases_that_multiply_are_stopped_early(tmp_path: Path) -> None:
    lines = ["x-a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"x-a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (said,) = problems(tmp_path, "\n".join([*lines, "mappings: {}"]))
    assert said.endswith("the file expands to more than 200,000 values")


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = """\
    namespase: prod
    server: {listen: nowhere}
    defaults: {batch_size: 0}
    targets:
      f: {type: http, url: http://f/, timeout: 1000}
      g: {type: smtp}
    mappings:
      a:
        target: f
        Enabled: maybe
      b:
        source: arn:aws:sqs:eu-west-1:123456789012:orders
        target: g
        batch_size: ${SIZE}
        batch_sise: 5
    """
    assert problems(tmp_path, text) == [
        "esm.yaml:1: namespase: unknown option; did you mean `namespace`?",
        (
            "esm.yaml:2: server.listen: nowhere is no address to listen on: write host:port, "
            "such as 127.0.0.1:8080, "
            "0.0.0.0:8080 or [::]:8080"
        ),
        "esm.yaml:3: defaults.batch_size: 0 is out of range: allowed is 1 to 10000",
        "esm.yaml:5: targets.f.timeout: 1000 is out of range: allowed is above 0 and at most 900 seconds",
        "esm.yaml:6: targets.g.type: there is no target of type smtp: this version has http",
        (
            "esm.yaml:8: mappings.a.source: is required but missing: an ARN such as "
            "arn:aws:sqs:eu-west-1:123456789012:orders, kafka://HOST:PORT/TOPIC, or {type: sqs, …} "
            "(AWS: Unrecognized event source.)"
        ),
        "esm.yaml:10: mappings.a.Enabled: maybe is not allowed: has to be true or false",
        (
            "esm.yaml:14: mappings.b.batch_size: the environment has no variable `SIZE`: set it, or write "
            "${SIZE:-default}"
        ),
        "esm.yaml:15: mappings.b.batch_sise: unknown option; did you mean `batch_size`?",
    ]


def test_what_is_broken_is_not_complained_about_twice(tmp_path: Path) -> None:
    """Neither as an unknown option, nor as a value of the wrong kind, nor as a missing one."""
    target = "{type: http, url: '${NOPE}', frob: '${NOPE}', timeout: !Ref X, tls: {ca: '${NOPE}'}}"
    assert [
        said.partition("target.")[2].partition(":")[0] for said in problems(tmp_path, body(target=target))
    ] == [
        "timeout",
        "url",
        "frob",
        "tls.ca",
    ]


def test_a_misspelt_target_name(tmp_path: Path) -> None:
    text = f"targets: {{billing: http://b/}}\nmappings:\n  m:\n    source: {ORDERS}\n    target: biling\n"
    assert problems(tmp_path, text) == [
        "esm.yaml:5: mappings.m.target: there is no target `biling`; did you mean `billing`?"
    ]


def test_both_spellings_of_one_option(tmp_path: Path) -> None:
    assert problems(tmp_path, body("BatchSize: 5\nbatch_size: 6")) == [
        "esm.yaml:6: mappings.m.batch_size: given twice, first in line 5 in another spelling"
    ]


def test_two_ceilings_exclude_each_other(tmp_path: Path) -> None:
    assert problems(tmp_path, body("concurrency: 4\nscaling_config: {maximum_concurrency: 4}")) == [
        "esm.yaml:5: mappings.m.concurrency: excludes scaling_config.maximum_concurrency, which says the same"
    ]
    given = "provisioned_poller_config: {minimum_pollers: 2}\nscaling_config: {maximum_concurrency: 4}"
    assert problems(tmp_path, body(given)) == [
        "esm.yaml:5: mappings.m.provisioned_poller_config: excludes scaling_config: a mapping has one of them"
    ]


def test_the_same_queue_and_function_twice_is_refused_in_aws_words(tmp_path: Path) -> None:
    text = f"""\
    targets: {{f: http://f/}}
    mappings:
      a: {{source: {ORDERS}, target: f}}
      b: {{source: {ORDERS}, target: f}}
      c: {{source: {ORDERS}, target: http://f/}}
    """
    (said,) = problems(tmp_path, text)
    assert said.startswith(
        f"esm.yaml:4: mappings.b: same queue and target as `a`: remove one (AWS: An event source mapping with SQS "
        f'arn (" {ORDERS} ") and function (" f ") already exists. Please update or delete the existing '
        "mapping with UUID "
    )


@pytest.mark.parametrize(
    ("defaults", "source", "said"),
    [
        ("batch_size: 50", FIFO, "50 is out of range for an SQS FIFO queue: allowed is 1 to 10 (mapping `m`)"),
        (
            "batch_size: 50",
            ORDERS,
            (
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
                "greater than 10: set "
                "maximum_batching_window_in_seconds (mapping `m`)"
            ),
        ),
        ("fifo_failure: group", ORDERS, "no mapping allows it: there are only SQS standard queues"),
        ("max_hold: 2d", ORDERS, "2d is out of range: allowed is 0 to 43200 seconds"),
        (
            "topics: [x]",
            ORDERS,
            "is not supported by any source of this version: Amazon MSK and self-managed Kafka support it",
        ),
        (
            "colour: red",
            ORDERS,
            (
                "unknown option: known are batch_size, bisect_batch_on_function_error, checkpoint_interval, "
                "concurrency, destination_config, enabled, fifo_failure, filter_criteria, "
                "function_response_types, max_hold, maximum_batching_window_in_seconds, "
                "maximum_record_age_in_seconds, maximum_retry_attempts, parallelization_factor, "
                "provisioned_poller_config, scaling_config, starting_position, starting_position_timestamp and "
                "strict_aws"
            ),
        ),
    ],
)
def test_a_bad_default_is_said_where_it_stands(tmp_path: Path, defaults: str, source: str, said: str) -> None:
    text = f"{body(source=source)}defaults: {{{defaults}}}\n"
    option = defaults.partition(":")[0]
    assert problems(tmp_path, text) == [f"esm.yaml:5: defaults.{option}: {said}"]


def test_a_default_out_of_range_is_wrong_even_where_every_mapping_overrides_it(tmp_path: Path) -> None:
    text = f"{body('batch_size: 5')}defaults: {{batch_size: 0}}\n"
    assert problems(tmp_path, text) == [
        "esm.yaml:6: defaults.batch_size: 0 is out of range: allowed is 1 to 10000"
    ]


def test_strict_aws_refuses_group_failure_per_file_and_per_mapping(tmp_path: Path) -> None:
    """D6: what AWS does not do is off for people who test what they will run on AWS."""
    said = "fifo_failure: group is not AWS's behaviour, which strict_aws asks for: aws"
    per_file = f"{body('fifo_failure: group', source=FIFO)}strict_aws: true\n"
    assert problems(tmp_path, per_file) == [f"esm.yaml:5: mappings.m.{said}"]
    per_mapping = body("fifo_failure: group\nstrict_aws: true", source=FIFO)
    assert problems(tmp_path, per_mapping) == [f"esm.yaml:5: mappings.m.{said}"]
