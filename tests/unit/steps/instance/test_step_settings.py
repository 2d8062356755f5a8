import hashlib

import pytest

from encserve_server.steps.instance.settings import check_sha256, read_settings


def test_a_file_that_is_not_the_certified_one_is_refused(tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_bytes(b"{}")
    check_sha256(file, hashlib.sha256(b"{}").hexdigest())
    with pytest.raises(
        ValueError, match=r"tokenizer\.json is not the file that was certified.* the manifest says 00ff"
    ):
        check_sha256(file, "00ff")


def test_settings_must_be_an_object(tmp_path):
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(ValueError, match="holds a list, not a JSON object"):
        read_settings(tmp_path)
