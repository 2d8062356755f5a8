"""Files of keys."""

import json

import pytest

from .alice import hashed


@pytest.fixture
def write(tmp_path):
    file = tmp_path / "keys.json"

    def written(*keys):
        file.write_text(json.dumps({"keys": list(keys)}))
        return file

    return written


@pytest.fixture
def alice(write):
    """A file with the key of alice, and what else is set for it."""
    return lambda **settings: write({"name": "alice", "sha256": hashed()} | settings)
