"""Apache Kafka itself: brokers in KRaft mode, from the artifacts that the project publishes on Maven Central.

The classes that a broker loads are archived once, when it is installed: that halves every start. Java takes
such an archive only for the same class path, so brokers run in their own folder with a relative one. What a
broker keeps outlives a stop and a kill. Delays that wait for a slow network are taken out, see `SETTINGS`.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .maven import PLUGIN, dependency, fetch, project
from .probes import kafka_answers
from .process import Server, free_port
from .recipe import Command, Place, Recipe

_VERSION = "4.4.0"
_POM = project(
    "kafka",
    # The artifact that is left out is not to be had on Maven Central, and brokers do not need it.
    dependency("org.apache.kafka", "kafka_2.13", _VERSION, exclusion="kafka-tools-api"),
    dependency("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),
)
_LOG = """\
Configuration:
  Appenders:
    Console:
      name: STDOUT
      PatternLayout:
        pattern: "[%d] %p %m (%c)%n"
  Loggers:
    Root:
      level: INFO
      AppenderRef:
        - ref: STDOUT
"""

_CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"
_JAVA = ("java", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_MEMORY = ("-Xms32m", "-Xmx256m", "-Dlog4j2.configurationFile=log4j2.yaml")
_ARCHIVE = "kafka.jsa"
_ARCHIVED = f"-XX:SharedArchiveFile={_ARCHIVE}"

# The first half makes a broker small and quick, the second lets tests see evictions within seconds.
SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "share.coordinator.state.topic.num.partitions": "1",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "300",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "5000",
}

_ALONE = {
    "node.id": "1",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}


def alone(port: int, controller: int) -> dict[str, str]:
    """The settings of a broker that is a cluster by itself, on those two ports."""
    return {
        **SETTINGS,
        **_ALONE,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
    }


def broker(
    place: Place, settings: Mapping[str, str], scram: Sequence[str] = (), properties: Sequence[str] = ()
) -> Command:
    """Runs a broker with its data in `place.work`, which it formats at its first start.

    `scram` are users to begin with, as Kafka's storage tool wants them: `SCRAM-SHA-256=[name=…,password=…]`;
    `properties` are those of Java's machine, as `-Dname=value`.
    """
    return _command(place, settings, scram, " ".join((_ARCHIVED, *properties)))


def _command(place: Place, settings: Mapping[str, str], scram: Sequence[str], archive: str) -> Command:
    data, file = place.work / "data", place.work / "server.properties"
    lines = [f"{name}={value}\n" for name, value in {**settings, "log.dirs": str(data)}.items()]
    file.write_text("".join(lines))
    java = " ".join((*_JAVA, "-cp", ":".join(sorted(f"lib/{jar.name}" for jar in (place.home / "lib").iterdir()))))
    users = " ".join(f"--add-scram '{user}'" for user in scram)
    prepare = f"{java} -Xmx64m {_ARCHIVED} kafka.tools.StorageTool format -t {_CLUSTER} -c '{file}' {users}"
    run = f"exec {java} {' '.join(_MEMORY)} {archive} kafka.Kafka '{file}'"
    script = f"cd '{place.home}' && {{ test -e '{data}/meta.properties' || {prepare}; }} && {run}"
    return Command(("sh", "-c", script))


def _install(home: Path) -> None:
    fetch(home, _POM)
    (home / "log4j2.yaml").write_text(_LOG)
    with tempfile.TemporaryDirectory() as scratch:
        training = Server(replace(KAFKA, command=_training), home, Path(scratch))
        training.start()
        training.stop()


def _single(place: Place) -> Command:
    return broker(place, alone(place.port, free_port()))


def _training(place: Place) -> Command:
    return _command(place, alone(place.port, free_port()), (), f"-XX:ArchiveClassesAtExit={_ARCHIVE}")


KAFKA = Recipe(
    name="kafka",
    version=_VERSION,
    origin=_POM + PLUGIN + _LOG,
    install=_install,
    command=_single,
    probe=kafka_answers,
)
