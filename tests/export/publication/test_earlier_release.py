"""A pipeline of an earlier release, whose steps did not tell each other when a request came.

How it gets a new version is in docs/reliability.md.
"""

import shutil
from contextlib import nullcontext
from dataclasses import replace

import pytest

from encserve_export.errors import PublishError
from encserve_export.export import export
from encserve_repository.config_text import from_text, to_text
from encserve_repository.layout import CONFIG_FILE
from encserve_repository.versions import active_version, published_versions
from encserve_server.steps.request.arrival import ARRIVED_NS

STEPS = ("tiny_tokenize", "tiny_encode", "tiny_head")


def configs(repository):
    """Each step's configuration and its file."""
    files = [repository / step / CONFIG_FILE for step in STEPS]
    return [(from_text(file.read_text()), file) for file in files]


@pytest.fixture
def earlier(export_config):
    """Published as before the latency histogram."""
    export(export_config)
    for config, file in configs(export_config.repository):
        for tensors in (config.input, config.output):
            for tensor in [each for each in tensors if each.name == ARRIVED_NS]:
                tensors.remove(tensor)
        file.write_text(to_text(config))
    return export_config


def test_a_version_that_does_not_fit_is_refused_before_anything_is_made(earlier):
    begun = []

    def stage(doing):
        begun.append(doing)
        return nullcontext()

    with pytest.raises(PublishError, match=r"tiny_tokenize is published with another output: .* under another --name"):
        export(earlier, stage)
    assert "exporting the graph" not in begun
    assert published_versions(earlier.repository, "tiny") == [1]


def test_it_is_exported_under_another_name_or_anew_after_it_was_removed(earlier):
    repository = earlier.repository
    export(replace(earlier, name="other"))
    assert active_version(repository, "other") == 1
    for model in ("tiny", *STEPS):
        shutil.rmtree(repository / model)
    export(earlier)
    assert active_version(repository, "tiny") == 1
    tensors = [each.name for config, _ in configs(repository) for each in (*config.input, *config.output)]
    assert tensors.count(ARRIVED_NS) == 2
