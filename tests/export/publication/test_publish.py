"""What an export says when a file fails it: of the repository, or of somewhere else."""

import errno
import os

import pytest

from encserve_export.config import ExportConfig
from encserve_export.errors import ExportError, InvalidConfig, PublishError
from encserve_export.publication.publish import staged_version


@pytest.fixture
def config(tmp_path):
    return ExportConfig(checkpoint="nowhere", name="tiny", repository=tmp_path / "models")


def fail_with(config, error):
    with staged_version(config) as staged:
        error.filename = str(staged.root / "model.onnx") if error.filename == "staged" else error.filename
        raise error


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOENT, errno.ENOSPC])
def test_an_error_of_another_file_is_reported_as_what_it_is(code, config):
    with pytest.raises(ExportError, match=rf"^/elsewhere/cache: {os.strerror(code)}; nothing was published") as raised:
        fail_with(config, OSError(code, os.strerror(code), "/elsewhere/cache"))
    assert not isinstance(raised.value, PublishError)


def test_an_error_of_the_repository_is_named_as_one(config):
    with pytest.raises(PublishError, match=r"cannot write to the model repository: .*model\.onnx: No space left"):
        fail_with(config, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "staged"))


def test_what_others_made_is_a_refusal_to_publish(config):
    (config.repository / "tiny/1").mkdir(parents=True)
    (config.repository / "tiny/1/model.onnx").write_text("made by hand")
    with pytest.raises(PublishError, match=r"tiny/1 is no version that encserve published"), staged_version(config):
        pytest.fail("the checkpoint would have been read")


@pytest.mark.parametrize("name", ["a_candidate", "a_tokenize", "a_encode", "a_encode_tensorrt", "a_head"])
def test_names_that_encserve_uses_itself_are_reserved(name):
    with pytest.raises(InvalidConfig, match="belong to models that encserve makes"):
        ExportConfig(checkpoint="nowhere", name=name)
