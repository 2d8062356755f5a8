import pytest

from .checkpoints import load, write_checkpoint


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory):
    """The loaded checkpoint of a case, each made once."""
    made = {}

    def checkpoint(case):
        if case not in made:
            made[case] = load(write_checkpoint(tmp_path_factory.mktemp("checkpoint"), case))
        return made[case]

    return checkpoint
