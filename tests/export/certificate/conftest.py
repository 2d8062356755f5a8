import pytest
from tests.integration.tasks.pipelines import PIPELINES

from export.small_checkpoints import make_checkpoint

from .staged import stage


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory):
    """The folder and the export options of a checkpoint of `PIPELINES`, each made once."""
    made = {}

    def checkpoint(name):
        if name not in made:
            how = dict(PIPELINES[name])
            options = how.pop("export", {"task": "sparse-embedding"} if "sparse" in name else {})
            made[name] = make_checkpoint(tmp_path_factory.mktemp("checkpoint") / name, **how), options
        return made[name]

    return checkpoint


@pytest.fixture
def staged_of(checkpoint_of, tmp_path):
    """Stage a checkpoint of `PIPELINES`."""

    def staged(name, **how):
        folder, options = checkpoint_of(name)
        return stage(tmp_path / "staged", folder, **options, **how)

    return staged
