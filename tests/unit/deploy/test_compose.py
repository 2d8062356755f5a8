"""docker-compose.yml without a Docker engine: its schema, what it promises, and the flags of its servers."""

import argparse
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from deploy_files import ROOT, VARIABLE

from encserve_gateway import command as gateway
from encserve_gateway.sample_config import SampleConfig
from encserve_gateway.serving import STOP_S
from encserve_loadtest import command as plan
from encserve_server import command, steps
from encserve_server.config import ServeConfig
from encserve_server.launcher.environment import steps_environment
from encserve_server.launcher.flags import triton_flags
from encserve_server.steps.trace.settings import COLLECTOR_VARIABLE, IDS_VARIABLE, SHARE_VARIABLE

SERVERS = ("triton", "triton-cpu")
OF_OPENTELEMETRY = {"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_HEADERS"}


def serve_config(service):
    """What the command of a service makes of its arguments, through the parser of `encserve serve`."""
    program, verb, *arguments = service["command"]
    assert (program, verb) == ("encserve", "serve")
    return command.config_of(parse(arguments))


def parse(arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def test_it_keeps_to_the_compose_specification():
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [*check, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, timeout=120, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_schema_would_refuse_a_mistake(tmp_path, compose_text):
    """The check above can fail."""
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(compose_text.replace("read_only: true", "read_only: [1]"))
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(wrong)]
    assert subprocess.run(check, capture_output=True, timeout=120, check=False).returncode != 0


def test_every_variable_is_in_the_example_with_its_default(compose_text):
    used = {match["name"]: match["default"] for match in VARIABLE.finditer(compose_text)}
    lines = [line.removeprefix("# ") for line in (ROOT / ".env.example").read_text().splitlines()]
    stated = dict(line.split("=", 1) for line in lines if line.partition("=")[0].replace("_", "").isupper())
    assert stated == used


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_closed_but_for_what_it_needs(name, compose):
    service = compose["services"][name]
    assert service["user"] == "1000:1000"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["volumes"] == ["./model_repository:/models:ro"]
    assert service["shm_size"] == "1gb"
    assert [port.rsplit(":", 1)[1] for port in service["ports"]] == ["8000", "8001"], "the metrics are not published"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@pytest.mark.parametrize("name", SERVERS)
def test_the_secret_of_shared_rows_lies_where_the_steps_look_for_it(name, compose):
    service = compose["services"][name]
    (secret,) = service["secrets"]
    assert service["environment"]["ENCSERVE_SHARED_ROWS_SECRET_FILE"] == f"/run/secrets/{secret}"
    assert compose["secrets"][secret] == {"file": "/dev/null"}, "empty, which is refused where there is a cache"


@pytest.mark.parametrize("name", SERVERS)
def test_what_the_steps_read_from_the_environment_can_be_set(name, compose):
    sources = (file.read_text() for file in Path(steps.__file__).parent.rglob("*.py"))
    read = {variable for source in sources for variable in re.findall(r'"(ENCSERVE_[A-Z_]+)"', source)}
    told = steps_environment(ServeConfig(), inherited={}, folder=Path(), admin_secret="s", restarts=0)
    by_options = {COLLECTOR_VARIABLE, SHARE_VARIABLE, IDS_VARIABLE}
    environment = compose["services"][name]["environment"].keys()
    assert (read - told.keys()) | by_options == environment - {"ENCSERVE_ADMIN_SECRET"} - OF_OPENTELEMETRY


@pytest.mark.parametrize("name", SERVERS)
def test_the_metrics_listen_on_their_own_network_alone(name, compose):
    service = compose["services"][name]
    config = serve_config(service)
    assert config.metrics_host == service["networks"]["metrics"]["ipv4_address"]
    network = compose["networks"]["metrics"]
    assert network["internal"] is True
    (subnet,) = network["ipam"]["config"]
    assert config.metrics_host.rpartition(".")[0] == subnet["subnet"].rpartition(".")[0]
    flags = triton_flags(config, pipelines=["minilm"], shm_prefix="p_", admin_secret="s", has_gpu=name == "triton")
    assert f"--metrics-address={config.metrics_host}" in flags
    assert "--grpc-address=0.0.0.0" in flags
    assert "--model-repository=/models" in flags


def test_the_gateway_is_closed_but_for_what_it_needs(compose):
    """It lets in whoever reaches it only while that is this host alone."""
    service = compose["services"]["gateway"]
    parser = argparse.ArgumentParser()
    gateway.add_arguments(parser)
    arguments = parser.parse_args(service["command"])
    assert gateway.serving_of(arguments).host == "0.0.0.0"
    assert arguments.allow_anonymous
    assert gateway.gateway_of(arguments).models == ("minilm",), "it has no secret with which to list them"
    assert service["ports"] == [f"127.0.0.1:8080:{arguments.port}"]
    (url,) = arguments.url
    assert url.partition(":")[0] in compose["services"]["triton"]["networks"]["serving"]["aliases"]
    assert "serving" in service["networks"]
    assert service["user"] == "1000:1000"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert int(service["stop_grace_period"].removesuffix("s")) > STOP_S


def test_the_planner_needs_no_secret_and_sees_the_metrics_of_either_server(compose):
    """It asks over a plain connection, on which no secret of the administration is sent to another host."""
    service = compose["services"]["loadtest"]
    program, verb, *arguments = service["entrypoint"]
    assert (program, verb) == ("encserve", "plan")
    assert "environment" not in service
    parser = argparse.ArgumentParser()
    plan.add_arguments(parser)
    given = parser.parse_args([*arguments, *service["command"]])
    for name in SERVERS:
        for network, url in (("serving", given.url), ("metrics", given.metrics_url.removeprefix("http://"))):
            assert url.partition(":")[0] in compose["services"][name]["networks"][network]["aliases"]
            assert network in service["networks"]


def test_the_gateway_is_told_of_traces_what_the_servers_are(compose):
    """But for the name of the service: it would have theirs."""
    environment, of_servers = (compose["services"][name]["environment"] for name in ("gateway", "triton"))
    assert environment.keys() == {gateway.IDS_VARIABLE} | OF_OPENTELEMETRY - {"OTEL_SERVICE_NAME"}
    assert environment.items() <= of_servers.items()


def test_the_gateway_keeps_no_texts_until_somebody_says_where(compose, compose_text):
    parser = argparse.ArgumentParser()
    gateway.add_arguments(parser)
    assert gateway.gateway_of(parser.parse_args(compose["services"]["gateway"]["command"])).samples is None
    assert "/dev/null:/samples" in compose["services"]["gateway"]["volumes"]
    settings = {"SAMPLED_LOG": "/samples/texts", "SAMPLED_LOG_MIB": "9", "SAMPLED_LOG_DAYS": "2", "SCRUB_MODEL": "pii"}
    settings = {f"GATEWAY_{name}": value for name, value in settings.items()} | {"GATEWAY_ACCESS": "--keys=keys.json"}
    told = VARIABLE.sub(lambda match: settings.get(match["name"], match["default"]), compose_text)
    samples = gateway.gateway_of(parser.parse_args(yaml.safe_load(told)["services"]["gateway"]["command"])).samples
    assert samples == SampleConfig(folder=Path("/samples/texts"), max_bytes=9 << 20, days=2, scrub_model="pii")


def test_the_gateway_takes_the_access_that_the_example_names(compose_text):
    (access,) = re.findall(r"GATEWAY_ACCESS=(--keys=\S+)", (ROOT / ".env.example").read_text())
    parser = argparse.ArgumentParser()
    gateway.add_arguments(parser)
    keys = parser.parse_args([access]).keys
    assert f"}}:{keys.parent}:ro" in compose_text


def test_a_gpu_is_reserved_where_one_is_needed(compose):
    reserving = {name for name, service in compose["services"].items() if "deploy" in service}
    assert reserving == {"triton", "export-plan"}
    for name in reserving:
        (device,) = compose["services"][name]["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_plans_are_built_in_the_image_that_serves_them(compose):
    services = compose["services"]
    images = [services[name]["build"]["args"]["TRITON_IMAGE"] for name in ("triton", "export-plan")]
    assert images[0] == images[1]


def test_profiles(compose):
    profiles = {name: service.get("profiles", []) for name, service in compose["services"].items()}
    assert profiles == {
        "triton": [],
        "triton-cpu": ["cpu"],
        "gateway": ["gateway"],
        "export": ["export"],
        "export-plan": ["export"],
        "loadtest": ["loadtest"],
        "prometheus": ["monitoring"],
        "grafana": ["monitoring"],
        "collector": ["monitoring"],
        "tempo": ["monitoring"],
    }


def test_a_stop_waits_for_what_triton_waits_for(compose):
    for name in SERVERS:
        service = compose["services"][name]
        assert int(service["stop_grace_period"].removesuffix("s")) > serve_config(service).exit_timeout_s


@pytest.mark.parametrize("name", ["triton", "triton-cpu"])
def test_a_step_that_dies_is_started_again(name, compose):
    """Docker starts a container again that ended, and none that is unhealthy: the command supervises its server."""
    service = compose["services"][name]
    program, verb, *arguments = service["command"]
    assert (program, verb) == ("encserve", "serve")
    assert parse(arguments).supervise
    assert service["restart"] == "unless-stopped"


def test_the_health_check_is_a_command(compose):
    commands = {entry.name for entry in importlib.metadata.entry_points(group="encserve.commands")}
    for name in SERVERS:
        program, command = compose["services"][name]["healthcheck"]["test"][1:]
        assert program == "encserve"
        assert command in commands


def test_what_is_mounted_from_the_repository_is_there(compose):
    mounted = [
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./deploy")
    ]
    assert len(mounted) == 8
    for path in mounted:
        assert (ROOT / path).exists(), path


def test_every_network_and_volume_is_declared(compose):
    for service in compose["services"].values():
        assert set(service.get("networks", [])) <= set(compose["networks"])
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source.startswith(("./", "/dev/null")) or source in compose["volumes"]


def test_one_image_serves_with_and_without_a_gpu(compose):
    services = compose["services"]
    assert {services[name]["image"] for name in SERVERS} == {"encserve-triton"}
    assert services["triton"]["build"]["args"]["TRITON_IMAGE"].endswith(":26.10-py3")
    differs = {key for key in services["triton"] if services["triton"][key] != services["triton-cpu"].get(key)}
    assert differs == {"command", "deploy", "networks"}


def test_yaml_has_no_key_twice(compose_text):
    """PyYAML keeps the last of two equal keys in silence; Docker refuses them."""

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node, deep=False):
        keys = [loader.construct_object(key) for key, _ in node.value if key.value != "<<"]
        assert len(keys) == len(set(keys)), keys
        return yaml.SafeLoader.construct_mapping(loader, node, deep)

    Strict.add_constructor("tag:yaml.org,2002:map", mapping)
    yaml.load(compose_text, Strict)
