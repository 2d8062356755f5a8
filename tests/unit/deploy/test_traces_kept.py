"""The way of spans in the profile monitoring, by the files of each: from the servers to the collector, to Tempo, and to
Grafana."""

import argparse
from urllib.parse import urlsplit

import pytest
import yaml
from deploy_files import MONITORING, ROOT

from encserve_gateway import command as gateway
from encserve_server import command
from encserve_server.steps.trace.exporter import PATH
from encserve_server.steps.trace.settings import COLLECTOR_VARIABLE

COLLECTOR = "http://collector:4318"
"""What .env.example says of it."""


def listening(file, *place):
    """The port on which a service listens, by its own file."""
    settings = yaml.safe_load((MONITORING / file).read_text())
    for name in place:
        settings = settings[name]
    host, port = settings["endpoint"].split(":")
    assert host == "0.0.0.0"
    return int(port)


@pytest.mark.parametrize("name", ["triton", "triton-cpu", "gateway"])
def test_whoever_sends_spans_reaches_the_collector_where_it_listens(name, compose):
    assert COLLECTOR in (ROOT / ".env.example").read_text()
    there = urlsplit(COLLECTOR)
    assert there.hostname in compose["services"]
    assert there.port == listening("collector.yml", "receivers", "otlp", "protocols", "http")
    assert set(compose["services"][name]["networks"]) & set(compose["services"][there.hostname]["networks"])
    assert PATH == "/v1/traces", "where OTLP's receivers take them"


def test_the_collector_hands_them_to_tempo_and_grafana_asks_it(compose):
    settings = yaml.safe_load((MONITORING / "collector.yml").read_text())
    pipeline = settings["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == settings[kind].keys()
    there = urlsplit(settings["exporters"]["otlphttp"]["endpoint"])
    assert there.port == listening("tempo.yml", "distributor", "receivers", "otlp", "protocols", "http")
    (source,) = (
        each
        for file in (MONITORING / "grafana" / "datasources").iterdir()
        for each in yaml.safe_load(file.read_text())["datasources"]
        if each["type"] == "tempo"
    )
    asked = urlsplit(source["url"])
    tempo = yaml.safe_load((MONITORING / "tempo.yml").read_text())
    assert (asked.hostname, asked.port) == (there.hostname, tempo["server"]["http_listen_port"])
    assert set(compose["services"]["grafana"]["networks"]) & set(compose["services"][there.hostname]["networks"])


def test_tempo_keeps_traces_in_its_volume(compose):
    service = compose["services"]["tempo"]
    (kept,) = (volume.partition(":")[2] for volume in service["volumes"] if volume.startswith("tempo:"))
    trace = yaml.safe_load((MONITORING / "tempo.yml").read_text())["storage"]["trace"]
    assert trace["local"]["path"].startswith(f"{kept}/")
    assert trace["wal"]["path"].startswith(f"{kept}/")


@pytest.mark.parametrize("name", ["collector", "tempo"])
def test_they_are_closed_but_for_what_they_need(name, compose):
    service = compose["services"][name]
    assert service["networks"] == ["metrics"], "which is internal: nothing outside reaches them"
    assert "ports" not in service
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["user"] == "10001:10001"


def test_nothing_is_traced_until_somebody_says_where_to(compose):
    for name in ("triton", "triton-cpu"):
        assert not compose["services"][name]["environment"][COLLECTOR_VARIABLE]
    parser = argparse.ArgumentParser()
    gateway.add_arguments(parser)
    assert gateway.gateway_of(parser.parse_args(compose["services"]["gateway"]["command"])).otlp == ""


def test_the_environment_of_the_container_turns_it_on(monkeypatch):
    monkeypatch.setenv(COLLECTOR_VARIABLE, COLLECTOR)
    monkeypatch.setenv("ENCSERVE_TRACE_SHARE", "0.5")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    config = command.config_of(parser.parse_args([]))
    assert (config.otlp, config.trace_share, config.trace_request_ids) == (COLLECTOR, 0.5, False)
    given = command.config_of(parser.parse_args(["--otlp=", "--trace-share=1%"]))
    assert given.otlp == ""
    given = command.config_of(parser.parse_args(["--trace-share=2%", "--trace-request-ids"]))
    assert (given.otlp, given.trace_share, given.trace_request_ids) == (COLLECTOR, 0.02, True)
