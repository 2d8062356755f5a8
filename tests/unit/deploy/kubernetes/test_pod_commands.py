"""The commands of the pods, through the parsers of the programs that run them."""

import argparse
from pathlib import Path

import pytest
from helm_chart import render, the
from manifest_rules.parts import main_container
from value_sets import VALUE_SETS

from encserve_gateway import command as gateway
from encserve_gateway.serving import STOP_S
from encserve_server import command as server


def parsed(command, arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def test_the_server_is_the_launcher_with_its_page():
    values = {"models": {"serve": ["minilm", "ranker"]}, "server": {"startupTimeoutS": 300, "exitTimeoutS": 40}}
    program, verb, *arguments = main_container(render(values), "server")["args"]
    assert (program, verb) == ("encserve", "serve")
    config = server.config_of(parsed(server, arguments))
    assert config.models == ("minilm", "ranker")
    assert config.repository == Path("/models")
    assert config.host == config.metrics_address == "0.0.0.0"
    assert (config.http_port, config.grpc_port, config.metrics_port, config.health_port) == (8000, 8001, 8002, 8003)
    assert (config.startup_timeout_s, config.exit_timeout_s) == (300, 40)
    assert parsed(server, arguments).supervise


@pytest.mark.parametrize("of", ["default", "a gateway for everyone"])
def test_the_gateway_asks_all_servers(of):
    arguments = parsed(gateway, main_container(render(VALUE_SETS[of]), "gateway")["args"])
    serving, settings = gateway.serving_of(arguments), gateway.gateway_of(arguments)
    assert serving.url == "dns:///encserve-server-replicas:8001"
    assert (serving.host, serving.port) == ("0.0.0.0", 8080)
    assert settings.models == ("minilm",)
    assert settings.keys == (None if arguments.allow_anonymous else Path("/keys/keys.json"))


def test_the_gateway_has_the_time_that_it_takes_at_the_end():
    pod = the(render(), "Deployment", "encserve-gateway")["spec"]["template"]["spec"]
    sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] == sleep + STOP_S + 15
