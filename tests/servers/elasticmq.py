"""ElasticMQ: an SQS server in Scala, independent of any AWS code. Its FIFO queues and deep queues are good.

Messages are kept in a file database, so that a server which was stopped or killed has its queues
and messages when it is back, as SQS has after an outage. What it forgets over a restart is which
messages were in flight: they are visible at once and their receive count starts again.
"""

from pathlib import Path
from string import Template

from .install import run_tool
from .recipe import Command, Place, Recipe

_VERSION = "1.7.1"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>esm.tests</groupId><artifactId>elasticmq</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.elasticmq</groupId><artifactId>elasticmq-server_2.13</artifactId><version>{_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

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
    (home / "pom.xml").write_text(_POM)
    run_tool(
        "mvn",
        "-q",
        "-B",
        "-Dstyle.color=never",
        _PLUGIN,
        "-DoutputDirectory=lib",
        "-DincludeScope=runtime",
        cwd=home,
    )


def _command(place: Place) -> Command:
    config = place.work / "elasticmq.conf"
    config.write_text(_CONFIG.substitute(port=place.port, database=place.work / "messages"))
    memory = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    classes = ("-cp", f"{place.home}/lib/*", "org.elasticmq.server.Main")
    return Command(("java", *memory, f"-Dconfig.file={config}", *classes))


ELASTICMQ = Recipe(
    name="elasticmq",
    version=_VERSION,
    origin=_POM + _PLUGIN,
    install=_install,
    command=_command,
    probe="/?Action=ListQueues",
)
