"""ElasticMQ: an SQS server in Scala, independent of any AWS code. Its FIFO queues and deep queues are good.

Messages are kept in a file database, so that a server which was stopped or killed has its queues
and messages when it is back, as SQS has after an outage. What it forgets over a restart is which
messages were in flight: they are visible at once and their receive count starts again.
"""

from pathlib import Path
from string import Template

from .maven import PLUGIN, fetch, pom
from .recipe import Command, Place, Recipe

_VERSION = "1.7.1"
_POM = pom("elasticmq", "org.elasticmq", "elasticmq-server_2.13", _VERSION)

_CONFIG = Template("""\
include classpath("application.conf")
node-address { protocol = http, host = "127.0.0.1", port = $port, context-path = "" }
rest-sqs { enabled = true, bind-hostname = "127.0.0.1", bind-port = $port, sqs-limits = strict }
generate-node-address = false
queues { }
queues-storage { enabled = false }
messages-storage {
  enabled = true
  driver-class-name = "org.h2.Driver"
  uri = "jdbc:h2:$database"
  username = ""
  password = ""
  prune-data-on-init = false
  prune-queues-on-init = false
}
aws { region = us-east-1, accountId = 000000000000 }
""")


def _install(home: Path) -> None:
    fetch(home, _POM)


def _command(place: Place) -> Command:
    config = place.work / "elasticmq.conf"
    config.write_text(_CONFIG.substitute(port=place.port, database=place.work / "messages"))
    memory = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    classes = ("-cp", f"{place.home}/lib/*", "org.elasticmq.server.Main")
    return Command(("java", *memory, f"-Dconfig.file={config}", *classes))


ELASTICMQ = Recipe(
    name="elasticmq",
    version=_VERSION,
    origin=_POM + PLUGIN,
    install=_install,
    command=_command,
    probe="/?Action=ListQueues",
)
