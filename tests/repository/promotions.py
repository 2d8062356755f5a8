"""Promotions in a repository of small versions, of which nobody is asked anything.

The server is a stand-in that does what Triton does with a repository: it loads what the disk says when it is told to.
`tests/integration/life/versions/test_promotion.py` asks a real one.
"""

from toy_versions import write_version

from encserve import Unavailable
from encserve.testing import fake_pipeline
from encserve_repository.serving import marked_as_served
from encserve_repository.versions import active_version
from encserve_server.administration.candidacy import Candidacy
from encserve_server.administration.promotion import Promotion


class Server:
    """Serves the active version of its start, until it is told to load another."""

    def __init__(self, repository):
        self.repository = repository
        self.version = active_version(repository, "minilm")
        self.loaded = []
        self.ready = []
        self.failing = {}
        """Model -> what loading it raises."""

    def models(self):
        if self.version is None:
            raise Unavailable("gone")
        return [fake_pipeline(name="minilm", version=str(self.version))]

    def load(self, model, *, config=None, files=None):
        self.loaded.append(model)
        if model in self.failing:
            raise self.failing[model]
        if model == "minilm":
            self.version = active_version(self.repository, "minilm")

    def unload(self, model):
        self.loaded = [each for each in self.loaded if each != model]

    def pipelines(self, *, timeout_s):
        return self.ready


def two_versions(repository):
    """Version 1 is active, version 2 published."""
    write_version(repository)
    with marked_as_served(repository):
        write_version(repository)
    return Server(repository)


def promotion_on(server, kind=Promotion, report=lambda line: None):
    return kind(server.repository, "minilm", administration=server, client=server, report=report)


def candidacy_on(server, report=lambda line: None):
    return promotion_on(server, Candidacy, report)
