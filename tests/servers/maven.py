"""Programs from Maven Central, with everything they depend on."""

from pathlib import Path

from .install import run_tool

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def pom(name: str, group: str, artifact: str, version: str) -> str:
    """A project of that name that depends on one artifact."""
    return project(name, dependency(group, artifact, version))


def project(name: str, *dependencies: str) -> str:
    """A project of that name."""
    return f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>esm.tests</groupId><artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
{"".join(dependencies)}  </dependencies>
</project>
"""


def dependency(group: str, artifact: str, version: str, exclusion: str = "") -> str:
    """One artifact of a project; `exclusion` is an artifact of the same group that is not fetched with it."""
    without = f"<exclusion><groupId>{group}</groupId><artifactId>{exclusion}</artifactId></exclusion>"
    return f"""\
    <dependency>
      <groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
{f"      <exclusions>{without}</exclusions>{chr(10)}" if exclusion else ""}    </dependency>
"""


def fetch(home: Path, project: str) -> None:
    """Puts the jars of a project into `lib`. Raises Unavailable."""
    (home / "pom.xml").write_text(project)
    options = ("-DoutputDirectory=lib", "-DincludeScope=runtime")
    run_tool("mvn", "-q", "-B", "-Dstyle.color=never", PLUGIN, *options, cwd=home)
