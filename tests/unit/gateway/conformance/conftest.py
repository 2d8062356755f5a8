import hashlib
import json

import pytest

from .case import KEY


@pytest.fixture
def keys(tmp_path):
    """Writes a file with the key `KEY`, with settings of it."""

    def written(**settings):
        file = tmp_path / "keys.json"
        key = {"name": "alice", "sha256": hashlib.sha256(KEY.encode()).hexdigest()} | settings
        file.write_text(json.dumps({"keys": [key]}))
        return file

    return written
