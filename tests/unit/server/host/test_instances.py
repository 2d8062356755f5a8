"""An encode step that is watched by markers has one instance, or is refused."""

import json

import pytest
from toy_versions import write_version

from encserve.testing import fake_pipeline
from encserve_repository.config_text import to_text
from encserve_repository.versions import active_config
from encserve_server.errors import RepositoryError
from encserve_server.host import offers
from encserve_server.host.instances import check_instances
from encserve_server.host.offers import check_pipelines
from encserve_server.steps.encode.host.requirements import Host, HostRequirements


@pytest.fixture
def repository(tmp_path):
    """With a pipeline whose door sends markers, or none, and whose encode step has what a test gives it."""

    def with_instances(*groups, markers=True):
        repository = tmp_path / "models"
        write_version(repository)
        settings = {"encode_model": "minilm_encode", **({"marker": ["input_ids", "lengths"]} if markers else {})}
        (repository / "minilm_tokenize/1/settings.json").write_text(json.dumps(settings))
        config = active_config(repository, "minilm_encode")
        config.ClearField("instance_group")
        for group in groups:
            config.instance_group.add(**group)
        (repository / "minilm_encode/config.pbtxt").write_text(to_text(config))
        return repository

    return with_instances


@pytest.mark.parametrize(
    ("groups", "instances"),
    [([{"count": 2}], 2), ([{"count": 1}, {"count": 1}], 2), ([{"count": 1, "gpus": [0, 1]}], 2), ([{"count": 3}], 3)],
)
def test_several_instances_behind_markers_are_refused(groups, instances, repository):
    with pytest.raises(RepositoryError, match=rf"minilm_encode has {instances} instances in its instance_group"):
        check_instances(repository(*groups), "minilm")


@pytest.mark.parametrize("groups", [[], [{"count": 1}], [{"count": 1, "gpus": [1]}], [{}]])
def test_one_is_not(groups, repository):
    check_instances(repository(*groups), "minilm")


def test_an_encode_step_that_says_its_load_may_have_several(repository):
    check_instances(repository({"count": 2}, markers=False), "minilm")


def test_a_server_with_them_does_not_start(repository, monkeypatch):
    host = Host(cpu_flags=None, backends=None, has_gpu=False)
    monkeypatch.setattr(HostRequirements, "lacking", lambda self, host: [])
    monkeypatch.setattr(offers.HostRequirements, "of", lambda manifest: HostRequirements(backend="python"))
    with pytest.raises(RepositoryError, match="minilm_encode has 2 instances"):
        check_pipelines(repository({"count": 2}), (fake_pipeline(name="minilm", version="1"),), host)
