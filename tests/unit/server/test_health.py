"""The health check of a container."""

import argparse

import pytest

from encserve import Client, InferenceFailed, Unavailable
from encserve.testing import FakeTransport, fake_pipeline
from encserve_server import health
from encserve_server.errors import Unhealthy


@pytest.fixture
def pipelines(monkeypatch):
    """What the server behind the health check seems to serve."""
    served = [fake_pipeline(), fake_pipeline(name="other")]

    def open_client(arguments, **settings):
        return Client(transport=FakeTransport(lambda request: {}, pipelines=served), **settings)

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


def test_a_pipeline_that_is_not_served_is_unhealthy(pipelines, asked):
    with pytest.raises(Unhealthy, match="no pipeline 'absent'; it serves fake, other"):
        run("--model", "absent")


def test_a_server_without_pipelines_is_unhealthy(pipelines):
    pipelines.clear()
    with pytest.raises(Unhealthy, match="here:1 serves no pipeline"):
        run("--url", "here:1")
