"""The runtime for KServe does what the pods of the chart do."""

import argparse

import pytest
import yaml
from helm_chart import KUBERNETES, render
from manifest_rules.parts import argument, main_container

from encserve_server import command


@pytest.fixture(scope="module")
def runtime():
    """The container of the runtime."""
    spec = yaml.safe_load((KUBERNETES / "kserve" / "runtime.yml").read_text())["spec"]
    (container,) = spec["containers"]
    return container


def test_it_is_probed_and_ended_as_the_pods_of_the_chart(runtime):
    chart = main_container(render(), "server")
    for part in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        assert runtime[part] == chart[part]
    assert runtime["image"] == chart["image"]


def test_its_pods_have_time_to_finish(runtime):
    service = yaml.safe_load((KUBERNETES / "kserve" / "service.yml").read_text())["spec"]["predictor"]
    sleep_s = runtime["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert service["terminationGracePeriodSeconds"] == sleep_s + int(argument(runtime, "--exit-timeout-s")) + 15


def test_it_serves_what_kserve_has_put_there_where_kserve_asks(runtime):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    config = command.config_of(parser.parse_args(runtime["args"][2:]))
    assert str(config.repository) == "/mnt/models"
    assert config.ports == {"--http-port": 8080, "--grpc-port": 9000, "--metrics-port": 8002}
    assert runtime["ports"][0]["containerPort"] == config.grpc_port
