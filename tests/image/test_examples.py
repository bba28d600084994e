"""The files that surround the image: they fit one another, the image, and the engine's configuration."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from esm.config import Config, load

DEPLOY = Path(__file__).parents[2] / "deploy"


def documents(path: Path) -> list[Any]:
    yaml = YAML(typ="safe")
    yaml.allow_duplicate_keys = False
    return list(yaml.load_all(path.read_text()))


@pytest.fixture
def services() -> dict[str, Any]:
    (compose,) = documents(DEPLOY / "compose.yaml")
    return dict(compose["services"])


@pytest.fixture
def config() -> Config:
    loaded = load(DEPLOY / "config", environ={})
    assert loaded.warnings == ()
    return loaded.config


@pytest.fixture
def kubernetes() -> dict[str, Any]:
    return {document["kind"]: document for document in documents(DEPLOY / "kubernetes" / "esm.yaml")}


# --- compose


def test_every_file_that_compose_mounts_is_there(services: dict[str, Any]) -> None:
    mounts = [mount for service in services.values() for mount in service.get("volumes", ())]
    sources = [mount.partition(":")[0] for mount in mounts if mount.startswith(".")]
    assert len(sources) == 4
    assert [source for source in sources if not (DEPLOY / source).exists()] == []
    build = services["engine"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).exists()


def test_compose_starts_what_the_configuration_names(services: dict[str, Any], config: Config) -> None:
    assert config.settings.aws.endpoint_url == "http://sqs:9324"
    assert config.targets["shop"].options.url == "http://function:8080/invoke"
    assert "0.0.0.0:8080" in services["function"]["command"]
    assert services["engine"]["depends_on"] == ["sqs", "function"]
    assert set(services) == {"engine", "sqs", "function", "prometheus"}


def test_prometheus_asks_where_the_engine_listens(config: Config) -> None:
    (prometheus,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    targets = [target for job in prometheus["scrape_configs"] for target in job["static_configs"][0]["targets"]]
    assert targets == [f"engine:{config.settings.server.port}"]
    assert config.settings.server.host == "0.0.0.0"


def test_nothing_is_published_beyond_this_machine(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_service_is_confined_and_every_image_pinned(services: dict[str, Any]) -> None:
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"]
    assert services["engine"]["read_only"]
    assert services["function"]["read_only"]


def test_compose_waits_longer_than_the_engine_drains(services: dict[str, Any], config: Config) -> None:
    assert int(services["engine"]["stop_grace_period"].removesuffix("s")) > config.settings.shutdown_grace


# --- compose with a Lambda function


@pytest.fixture
def overlay() -> dict[str, Any]:
    (compose,) = documents(DEPLOY / "compose.lambda.yaml")
    return dict(compose["services"])


def test_a_lambda_function_finds_the_engine(overlay: dict[str, Any], services: dict[str, Any]) -> None:
    secret = "for-this-network-only"
    told = overlay["engine"]["environment"]["RUNTIME_SECRET"]
    assert told == f"${{RUNTIME_SECRET:-{secret}}}"
    loaded = load(DEPLOY / "lambda" / "config", environ={"RUNTIME_SECRET": secret})
    assert loaded.warnings == ()
    options = loaded.config.targets["orders"].options
    assert options.secret.get_secret_value() == secret
    assert options.address == ("0.0.0.0", 9001)
    variables = overlay["orders"]["environment"]
    assert variables["AWS_LAMBDA_RUNTIME_API"] == f"engine:9001/{told}"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "orders"
    assert loaded.config.settings.server.port == 9464
    assert loaded.config.targets["shop"].options.url == "http://function:8080/invoke"
    assert overlay.keys() - services.keys() == {"orders"}


def test_the_lambda_function_is_confined_pinned_and_published_nowhere(overlay: dict[str, Any]) -> None:
    function = overlay["orders"]
    assert function["cap_drop"] == ["ALL"]
    assert function["security_opt"] == ["no-new-privileges:true"]
    assert function["read_only"]
    assert function["image"].rpartition(":")[2] not in {"", "latest"}
    assert not any("ports" in service for service in overlay.values())


def test_every_file_that_the_overlay_mounts_is_there(overlay: dict[str, Any]) -> None:
    mounts = [mount.split(":") for service in overlay.values() for mount in service["volumes"]]
    assert [target for _, target, _ in mounts] == [
        "/etc/esm",
        "/var/task/app.py",
    ]  # the first replaces the other's
    assert all((DEPLOY / source).exists() for source, _, _ in mounts)


def test_the_lambda_function_reports_what_failed() -> None:
    module = runpy.run_path(str(DEPLOY / "lambda" / "app.py"))
    records = [{"messageId": "a", "body": "hello"}, {"messageId": "b", "body": "poison"}]
    answer = module["handler"]({"Records": records}, SimpleNamespace(function_name="orders"))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "b"}]}


# --- Kubernetes


def test_the_config_map_is_a_configuration(kubernetes: dict[str, Any], tmp_path: Path) -> None:
    for name, text in kubernetes["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text)
    loaded = load(tmp_path, environ={})
    assert loaded.warnings == ()
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["ports"] == [{"name": "metrics", "containerPort": loaded.config.settings.server.port}]
    assert pod["terminationGracePeriodSeconds"] > loaded.config.settings.shutdown_grace


def test_the_deployment_fits_together(kubernetes: dict[str, Any]) -> None:
    spec = kubernetes["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert pod["serviceAccountName"] == kubernetes["ServiceAccount"]["metadata"]["name"]
    assert {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]} == {
        "config": "/etc/esm",
        "tmp": "/tmp",
    }
    assert {volume["name"] for volume in pod["volumes"]} == {"config", "tmp"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]
