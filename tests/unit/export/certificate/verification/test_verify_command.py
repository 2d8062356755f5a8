"""What `encserve verify` says, and how it exits."""

import argparse
import json

import pytest
from served_vectors import served

from encserve_export.commands import verify_command


@pytest.mark.parametrize(("error", "code", "verdict"), [(0.0, 0, "has not drifted"), (0.5, 1, "has drifted")])
def test_the_command_says_the_verdict_and_exits_with_it(error, code, verdict, folder, server, monkeypatch, capsys):
    server.error = lambda text: error if len(text) > 10 else 0.0
    monkeypatch.setattr(verify_command, "GrpcTransport", lambda url, **access: served(folder, server))
    parser = argparse.ArgumentParser()
    verify_command.add_arguments(parser)
    given = ["fake", "--repository", str(folder)]
    assert verify_command.run(parser.parse_args(given)) == code
    assert verdict in capsys.readouterr().out
    assert verify_command.run(parser.parse_args([*given, "--json"])) == code
    stated = json.loads(capsys.readouterr().out)
    assert stated["drifted"] is bool(code)
    assert stated["figures"]["max_abs_diff"]["holds"] is not bool(code)


def test_the_command_reaches_servers_behind_tls_and_gateways(folder, server, monkeypatch, tmp_path):
    authorities = tmp_path / "authorities.pem"
    authorities.touch()
    seen = {}

    def connect(url, **access):
        seen.update(access, url=url)
        return served(folder, server)

    monkeypatch.setattr(verify_command, "GrpcTransport", connect)
    monkeypatch.setenv("ENCSERVE_API_KEY", "key")
    parser = argparse.ArgumentParser()
    verify_command.add_arguments(parser)
    given = ["fake", "--repository", str(folder), "--url=far.example:8001", f"--tls-ca={authorities}"]
    assert verify_command.run(parser.parse_args(given)) == 0
    assert (seen["url"], seen["api_key"], seen["tls"].ca_file) == ("far.example:8001", "key", authorities)
