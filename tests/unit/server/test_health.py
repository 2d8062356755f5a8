"""The health check of a container."""

import argparse

import pytest

from encserve import Client, DeadlineExceeded, InferenceFailed, Unavailable
from encserve.testing import FakeTransport, fake_pipeline
from encserve_server import health
from encserve_server.errors import Unhealthy


@pytest.fixture
def pipelines(monkeypatch):
    """What the server behind the health check seems to serve."""
    served = [fake_pipeline(), fake_pipeline(name="other")]

    def open_client(arguments):
        return Client(transport=FakeTransport(lambda request: {}, pipelines=served))

    monkeypatch.setattr(health, "open_client", open_client)
    return served


@pytest.fixture
def asked(monkeypatch):
    """The names of the pipelines that were asked a question, all of which answer."""
    names = []
    monkeypatch.setattr(health, "ask", lambda client, pipeline: names.append(pipeline.name))
    return names


def run(*words):
    parser = argparse.ArgumentParser()
    health.add_arguments(parser)
    return health.run(parser.parse_args(words))


def test_every_pipeline_is_asked(pipelines, asked, capsys):
    assert run() == 0
    assert asked == ["fake", "other"]
    assert "other version 1 answers" in capsys.readouterr().out


def test_only_the_pipelines_named_are_asked(pipelines, asked):
    assert run("--model", "other") == 0
    assert asked == ["other"]


@pytest.mark.parametrize("error", [InferenceFailed("NaN"), Unavailable("down")])
def test_a_pipeline_that_does_not_answer_is_unhealthy(error, pipelines, monkeypatch):
    def ask(client, pipeline):
        if pipeline.name == "other":
            raise error

    monkeypatch.setattr(health, "ask", ask)
    with pytest.raises(Unhealthy, match="other does not answer"):
        run()


@pytest.mark.parametrize("status", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_a_pipeline_that_refuses_is_alive(status, pipelines, monkeypatch, capsys):
    """As the door does to those who do not run the server, and a gateway by its limits."""

    def ask(client, pipeline):
        if pipeline.name == "fake":
            raise Unavailable("the interactive queue holds 8192 rows", status=status)

    monkeypatch.setattr(health, "ask", ask)
    assert run() == health.EXIT_REFUSED == 3
    printed = capsys.readouterr()
    assert "fake version 1 refuses: the interactive queue" in printed.err
    assert "other version 1 answers" in printed.out


@pytest.mark.parametrize("error", [Unavailable("Stub process is not healthy", status="INTERNAL"), DeadlineExceeded("")])
def test_a_process_that_died_or_hangs_is_no_refusal(error, pipelines, monkeypatch):
    def ask(client, pipeline):
        raise error

    monkeypatch.setattr(health, "ask", ask)
    with pytest.raises(Unhealthy):
        run()


def test_a_server_that_goes_away_meanwhile_is_no_refusal(pipelines, monkeypatch):
    def ask(client, pipeline):
        monkeypatch.setattr(client, "models", gone)
        raise Unavailable("connection refused", status="UNAVAILABLE")

    def gone():
        raise Unavailable("connection refused", status="UNAVAILABLE")

    monkeypatch.setattr(health, "ask", ask)
    with pytest.raises(Unavailable):
        run()


def test_a_pipeline_that_is_not_served_is_unhealthy(pipelines, asked):
    with pytest.raises(Unhealthy, match="no pipeline 'absent'; it serves fake, other"):
        run("--model", "absent")


def test_a_server_without_pipelines_is_unhealthy(pipelines):
    pipelines.clear()
    with pytest.raises(Unhealthy, match="here:1 serves no pipeline"):
        run("--url", "here:1")
