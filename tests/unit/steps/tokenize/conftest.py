"""A tokenize step with the stand-in of Triton's module."""

import hashlib
import json

import pytest
from tokenize_step import ARGS, SETTINGS, Encoder
from tokenizers import Tokenizer, models, pre_tokenizers

from encserve_server.steps.instance import loops


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A version folder, which is the folder of the pages too."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    version = tmp_path / "1"
    version.mkdir()
    tokenizer.save(str(version / "tokenizer.json"))
    digest = hashlib.sha256((version / "tokenizer.json").read_bytes()).hexdigest()
    (version / "settings.json").write_text(json.dumps(SETTINGS | {"tokenizer_sha256": digest}))
    monkeypatch.setenv("ENCSERVE_RUNTIME_FOLDER", str(tmp_path))
    return version


@pytest.fixture
def encoder(folder):
    return Encoder(folder.parent)


@pytest.fixture
def step(triton, folder, encoder, monkeypatch):
    from encserve_server.steps.tokenize import step as module
    from encserve_server.steps.tokenize.door import encode_load
    from encserve_server.steps.tokenize.step import TritonPythonModel

    def page_file(model, version):
        return folder.parent / ("encode.load" if model.endswith("encode") else "own.load")

    for each in (module, encode_load):
        monkeypatch.setattr(each, "page_file", page_file)
    monkeypatch.setattr(loops, "PAUSE_S", 0.0)
    encoder.has(0)
    model = TritonPythonModel()
    model.initialize(ARGS | {"model_repository": str(folder.parent)})
    yield model
    encoder.has(0)
    model.finalize()
