"""The options of `encserve gateway`."""

import argparse
import pickle

import pytest

from encserve import InvalidInput
from encserve._shells.coalesce import MAX_DELAY_S
from encserve_gateway import command
from encserve_gateway.aliases import Alias, parse_alias
from encserve_gateway.config import GatewayConfig
from encserve_gateway.serving import GATHER_S, ServingConfig, address_of, connect, uvicorn_config


def parsed(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args(words)
    return command.serving_of(arguments), command.gateway_of(arguments)


def test_the_defaults_are_those_of_the_classes():
    assert parsed() == (ServingConfig(), GatewayConfig())


def test_all_options():
    where = "--url a:1,b:2 --host 0.0.0.0 --allow-anonymous --port 81 --workers 3 --timeout-s 7"
    what = "--model m,o --model n --alias a=m --alias b=n,dimensions=8 --max-body-mib 1 --max-requests 2 --max-texts 3"
    what += " --otlp http://collector:4318 --trace-request-ids"
    serving, gateway = parsed(*where.split(), *what.split())
    assert (serving.url, serving.host, serving.port, serving.workers, serving.timeout_s) == (
        "a:1,b:2",
        "0.0.0.0",
        81,
        3,
        7,
    )
    assert gateway == GatewayConfig(
        models=("m", "o", "n"),
        aliases=(Alias(name="a", pipeline="m"), Alias(name="b", pipeline="n", dimensions=8)),
        otlp="http://collector:4318",
        trace_request_ids=True,
        max_body_bytes=1 << 20,
        max_requests=2,
        max_texts=3,
    )


@pytest.mark.parametrize("words", ["--url a:1 --url b:2", "--url a:1,b:2"])
async def test_several_servers(words):
    serving, _ = parsed(*words.split())
    assert serving.url == "a:1,b:2"
    async with connect(serving) as client:
        assert client._transport._addresses == ("a:1", "b:2")


async def test_texts_wait_for_company_longer_than_the_sdk_s_own_callers_do():
    async with connect(ServingConfig()) as client:
        assert client._shell._coalescer._max_delay_s == GATHER_S > MAX_DELAY_S


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "gateway.example.org"])
def test_other_hosts_reach_it_only_where_that_is_said(host):
    with pytest.raises(InvalidInput, match="--allow-anonymous"):
        parsed("--host", host)
    assert not parsed("--host", host, "--allow-anonymous")[0].is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback(host):
    assert parsed("--host", host)[0].is_loopback


def test_addresses():
    assert address_of("127.0.0.1", 8080) == "http://127.0.0.1:8080"
    assert address_of("::1", 8080) == "http://[::1]:8080"


def test_with_keys_other_hosts_may_reach_it():
    serving, gateway = parsed("--host", "0.0.0.0", "--keys", "keys.json", "--public-models")
    assert (serving.host, str(gateway.keys), gateway.public_models) == ("0.0.0.0", "keys.json", True)


def test_aliases():
    assert parse_alias("text-embedding-3-small=minilm") == Alias(name="text-embedding-3-small", pipeline="minilm")
    assert parse_alias("q=e5,prompt_name=query,dimensions=128,truncate=error") == Alias(
        name="q", pipeline="e5", prompt_name="query", dimensions=128, truncate="error"
    )
    assert parse_alias("q=e5,prompt_name=").prompt_name == ""


WRONG_SETTINGS = ("", "color=red", "dimensions=0", "dimensions=x", "dimensions=²", "dimensions=-1", "truncate=middle")


@pytest.mark.parametrize("text", ["", "a", "=a", "a=", *(f"a=b,{setting}" for setting in WRONG_SETTINGS)])
def test_wrong_aliases(text):
    with pytest.raises(InvalidInput):
        parse_alias(text)


@pytest.mark.parametrize(
    "words",
    [
        ("--alias", "a=m", "--alias", "a=n"),
        ("--model", "m", "--alias", "a=n"),
        ("--max-texts", "0"),
        ("--max-requests", "-1"),
        ("--max-body-mib", "0"),
        ("--workers", "0"),
        ("--port", "65536"),
        ("--url", "nowhere"),
        ("--otlp", "localhost:4318"),
        ("--otlp", "http://"),
        ("--url", "a:1", "--url", ""),
        ("--timeout-s", "0"),
    ],
)
def test_impossible_values(words):
    with pytest.raises(InvalidInput):
        parsed(*words)


def test_whether_ids_are_told_may_stand_in_the_environment(monkeypatch):
    monkeypatch.setenv(command.IDS_VARIABLE, "1")
    assert parsed()[1].trace_request_ids
    assert not parsed("--no-trace-request-ids")[1].trace_request_ids
    monkeypatch.setenv(command.IDS_VARIABLE, "")
    assert not parsed()[1].trace_request_ids
    monkeypatch.setenv(command.IDS_VARIABLE, "yes")
    with pytest.raises(InvalidInput, match="ENCSERVE_TRACE_REQUEST_IDS is 'yes', expected 0 or 1"):
        parsed()


def test_workers_can_be_told_what_to_run():
    config = uvicorn_config(ServingConfig(workers=2), GatewayConfig())
    assert pickle.loads(pickle.dumps(config)).workers == 2
    assert config.timeout_keep_alive == 75
