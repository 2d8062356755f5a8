"""How many instances the encode steps have, where the door finds out by markers what they have computed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from encserve_repository.config_text import steps_of
from encserve_repository.versions import active_config
from encserve_server.errors import RepositoryError
from encserve_server.steps.instance.settings import read_settings


def check_instances(repository: Path, name: str) -> None:
    """Refuse the pipeline `name` where its door sends markers and its encode step has several instances.

    A marker is answered when what was sent before it is computed: by one instance, which takes one batch after the
    other. Of several a free one answers it while another computes, and more would be let in than there is room for.

    Raises:
        RepositoryError: names the model and the number of its instances.
    """
    ensemble = active_config(repository, name)
    for model, version in ({} if ensemble is None else steps_of(ensemble)).items():
        with suppress(FileNotFoundError):  # of a step without settings
            settings = read_settings(repository / model / str(version))
            if "marker" in settings:
                _check(repository, str(settings["encode_model"]))


def _check(repository: Path, encode: str) -> None:
    config = active_config(repository, encode)
    instances = sum(max(1, group.count) * max(1, len(group.gpus)) for group in config.instance_group) if config else 1
    if instances > 1:
        raise RepositoryError(
            f"{repository / encode} has {instances} instances in its instance_group, and must have one: the tokenize "
            "step before it counts on batches that are computed one after the other; more replicas share the work, or "
            "an encode step of engine python"
        )
