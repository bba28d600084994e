"""The configuration that the demonstration runs, written so that a newcomer can copy from it."""

from pathlib import Path
from string import Template

from msgspec import Struct

from esm.demo.aws import REGION
from esm.demo.kinesis_local import StreamServer

_CONFIG = Template("""\
# What `esm demo` runs: one function, driven by two queues, a stream, a table and a topic.
namespace: demo
aws: {region: $region, endpoint_url: "$endpoint"} # an emulator; at AWS the region is enough
server: {listen: "127.0.0.1:$port"} # metrics and status
state: {url: "sqlite://$work/state.db"} # how far the stream and the table have been read
shutdown_grace: 10s

targets:
  function: {type: python, handler: "$handler", timeout: 20s}

mappings:
  # A standard queue. The queue's own redrive policy takes away what fails three times.
  # Long polls are short here, so that it stops soon.
  orders:
    source: {type: sqs, arn: "$orders", wait_time_seconds: 2}
    target: function
    batch_size: 10
    function_response_types: [ReportBatchItemFailures]

  # A FIFO queue: what follows a failed message of a group waits until that one has succeeded or is dead.
  payments:
    source: {type: sqs, arn: "$payments", wait_time_seconds: 2}
    target: function
    batch_size: 10
    function_response_types: [ReportBatchItemFailures]
    fifo_failure: group

  # A stream, in order per partition key. A batch that fails is halved until the record at fault stands alone. That
  # one is given up after two more deliveries and told to the queue clicks-failed, and the others go on.
  clicks:
    source:$clicks
    target: function
    starting_position: TRIM_HORIZON
    batch_size: 20
    parallelization_factor: 2
    function_response_types: [ReportBatchItemFailures]
    bisect_batch_on_function_error: true
    maximum_retry_attempts: 2
    destination_config: {on_failure: {destination: "$clicks_failed"}}

  # What is inserted, modified and removed in a table, in order per item.
  accounts:
    source: {type: dynamodb, table: $accounts}
    target: function
    starting_position: TRIM_HORIZON
    batch_size: 20
    function_response_types: [ReportBatchItemFailures]
    bisect_batch_on_function_error: true
    maximum_retry_attempts: 2
    destination_config: {on_failure: {destination: "$accounts_failed"}}

  # A topic, in order per key: batches of one partition are sent at once. The function lists what failed, and only
  # that comes again. The group keeps its positions with the brokers.
  parcels:
    source: $parcels
    target: function
    starting_position: TRIM_HORIZON
    batch_size: 20
    parallelization_factor: 2
    function_response_types: [ReportBatchItemFailures]
    bisect_batch_on_function_error: true
    maximum_retry_attempts: 2
    destination_config: {on_failure: {destination: "$parcels_failed"}}
""")

_ELSEWHERE = Template("""
      type: kinesis
      stream: "$arn"
      aws: {region: $region, endpoint_url: "$endpoint"}""")


class Names(Struct, frozen=True):
    """ARNs of the queues and of the stream, the table's name, the topic in one line; `*_failed` are queues too."""

    orders: str
    payments: str
    clicks: str
    clicks_failed: str
    accounts: str
    accounts_failed: str
    parcels: str
    parcels_failed: str


class Setting(Struct, frozen=True):
    """What the engine is started with; everything it writes goes below `work`.

    `port`: where its metrics and status are wanted, 0 for any. `stream`: the server that has the stream, which may
    be another than the one at `endpoint`.
    """

    work: Path
    endpoint: str
    stream: StreamServer
    port: int
    handler: str
    names: Names

    @property
    def journal(self) -> Path:
        """The folder that the function writes to."""
        return self.work / "journal"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.work / "demo.yaml"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.work / "esm.log"

    def configure(self, port: int) -> None:
        """Writes the configuration file, with this port."""
        names = {name: getattr(self.names, name) for name in Names.__struct_fields__}
        values = {**names, "clicks": self._clicks(), "region": REGION, "port": port}
        text = _CONFIG.substitute(values, work=self.work, endpoint=self.endpoint, handler=self.handler)
        self.config.write_text(text)

    def _clicks(self) -> str:
        """One line is enough, unless the stream is at another place than the queues."""
        if self.stream.endpoint == self.endpoint:
            return f" {self.names.clicks}"
        return _ELSEWHERE.substitute(arn=self.names.clicks, region=REGION, endpoint=self.stream.endpoint)
