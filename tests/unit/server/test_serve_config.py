import argparse
from pathlib import Path

import pytest

from encserve import PipelineInfo
from encserve_server import command
from encserve_server.config import ServeConfig
from encserve_server.description import pipeline_table
from encserve_server.errors import ConfigError
from encserve_server.tls import ServerTls


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "localhost"}, "--host must be an IPv4 address such as 127.0.0.1 or 0.0.0.0, not 'localhost'"),
        ({"host": "::1"}, "not '::1'"),
        ({"http_port": 0}, "--http-port must be between 1 and 65535, not 0"),
        ({"grpc_port": 65_536}, "--grpc-port must be between 1 and 65535, not 65536"),
        ({"metrics_port": 8000}, "must differ: --http-port 8000, --grpc-port 8001, --metrics-port 8000"),
        ({"health_port": 65_536}, "--health-port must be between 1 and 65535, not 65536"),
        ({"health_port": 8001}, "must differ: .*--grpc-port 8001, .*--health-port 8001"),
        ({"startup_timeout_s": 0}, "--startup-timeout-s must be above 0 and at most 3600, not 0"),
        ({"startup_timeout_s": float("nan")}, "--startup-timeout-s must be .* not nan"),
        ({"admin_secret": "short"}, "16 or more letters, digits, - and _.* has 5 characters"),
        ({"admin_secret": "a,b:c=d" * 5}, "has 35 characters"),
        ({"exit_timeout_s": 0}, "--exit-timeout-s must be between 1 and 3600, not 0"),
    ],
)
def test_an_option_outside_its_limits_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        ServeConfig(**options)


@pytest.mark.parametrize(
    ("host", "is_loopback", "client_host"),
    [
        ("127.0.0.1", True, "127.0.0.1"),
        ("127.0.0.2", True, "127.0.0.2"),
        ("0.0.0.0", False, "127.0.0.1"),
        ("10.1.2.3", False, "10.1.2.3"),
    ],
)
def test_host(host, is_loopback, client_host):
    config = ServeConfig(host=host)
    assert (config.is_loopback, config.client_host) == (is_loopback, client_host)


def test_the_command_has_the_defaults_of_the_config():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    default, arguments = ServeConfig(), vars(parser.parse_args([]))
    assert arguments.pop("model") == list(default.models)
    assert arguments.pop("supervise") is True
    assert (arguments.pop("gateway"), arguments.pop("gateway_port")) == (None, 8080)
    assert {arguments.pop(name) for name in list(arguments) if name.startswith("tls_")} == {default.tls}
    of_the_environment = {arguments.pop(name) for name in ("otlp", "trace_share", "trace_request_ids")}
    assert of_the_environment == {None}
    assert arguments == {name: getattr(default, name) for name in arguments}


def test_the_health_page_shows_what_supervision_sees():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(ConfigError, match="does not go with --no-supervise"):
        command.run(parser.parse_args(["--no-supervise", "--health-port=8003"]))


def test_certificates_are_all_or_none():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    for incomplete in (["--tls-cert=c"], ["--tls-key=k"], ["--tls-client-ca=a"], ["--tls-cert=c", "--tls-probe-key=k"]):
        with pytest.raises(ConfigError, match="go together"):
            command.run(parser.parse_args(incomplete))


def test_the_warning_says_what_is_open():
    tls = ServerTls(cert=Path("c"), key=Path("k"))
    mutual = ServerTls(cert=Path("c"), key=Path("k"), client_ca=Path("a"), probe_cert=Path("p"), probe_key=Path("q"))
    plain = command.exposure_warning(ServeConfig(host="0.0.0.0"))
    assert "0.0.0.0 is reachable from other hosts" in plain
    assert "not encrypted" in plain
    assert "not encrypted" not in command.exposure_warning(ServeConfig(host="0.0.0.0", tls=tls))
    assert "may ask it" in command.exposure_warning(ServeConfig(host="0.0.0.0", tls=tls))
    assert "may ask it" not in command.exposure_warning(ServeConfig(host="0.0.0.0", tls=mutual))
    assert "known holes" in command.exposure_warning(ServeConfig(host="0.0.0.0", tls=mutual))


def test_metrics_that_are_reachable_alone_are_what_the_warning_is_about():
    warning = command.exposure_warning(ServeConfig(metrics_host="0.0.0.0"))
    assert warning.startswith("warning: the metrics on 0.0.0.0 are reachable from other hosts")
    assert "127.0.0.1 is reachable" not in warning
    assert "encrypt" not in warning


def test_http_stays_on_loopback_where_grpc_is_encrypted():
    tls = ServerTls(cert=Path("c"), key=Path("k"))
    assert ServeConfig(host="10.1.2.3", tls=tls).http_host == "127.0.0.1"
    assert ServeConfig(host="127.0.0.2", tls=tls).http_host == "127.0.0.2"
    assert ServeConfig(host="10.1.2.3").http_host == "10.1.2.3"


def test_pipeline_table_has_aligned_columns():
    about = {
        "version": "1",
        "task": "feature-extraction",
        "precision": "fp32",
        "engine": "python",
        "dimensions": 384,
        "max_length": 256,
        "max_texts_per_request": 64,
        "max_tokens_per_request": 8192,
        "max_bytes_per_text": 100_000,
        "prompt_names": (),
        "option_defaults": {},
        "certificate": "",
    }
    table = pipeline_table([PipelineInfo(name=name, **about) for name in ("minilm", "a-longer-name")])
    assert table == [
        "pipeline       version  task                precision  engine  tokens per text  texts, tokens per request",
        "minilm         1        feature-extraction  fp32       python  256              64, 8192",
        "a-longer-name  1        feature-extraction  fp32       python  256              64, 8192",
    ]
