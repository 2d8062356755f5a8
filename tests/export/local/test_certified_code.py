"""Whose code a pipeline in this process runs: that of its version, as its certificate has it."""

import hashlib
import os
import py_compile
import shutil
import sys

import numpy as np
import pytest
from published_again import certify_again

from encserve import (
    ContractError,
)
from encserve.local import Encoder


def test_the_code_that_runs_is_that_of_the_version(repository, monkeypatch):
    """It is read from the version's folder, which stays as it was."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = repository / "tiny_head/1/head/answers/vectors/text_vectors.py"
    file.write_text(file.read_text().replace("np.divide(kept,", "np.divide(2 * kept,"))
    certify_again(repository, "tiny", 1, file)
    before = sorted(repository.rglob("*"))
    with Encoder(repository, "tiny") as doubled:
        np.testing.assert_allclose(np.linalg.norm(doubled.embed(["x"], normalize=True).vectors), 2, atol=1e-5)
    assert sorted(repository.rglob("*")) == before
    assert not [*repository.rglob("*.pyc")]


@pytest.mark.parametrize(
    "path",
    [
        "tiny_encode/1/model.onnx",
        "tiny_encode/1/encode/batch.py",
        "tiny_tokenize/1/tokenizer.json",
        "tiny_head/1/settings.json",
        "tiny/1/manifest.json",
    ],
)
def test_a_file_that_is_not_the_certified_one_is_refused(repository, path):
    with (repository / path).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ContractError, match=f"{path} is not the certified file"):
        Encoder(repository, "tiny")


def code_of(folder):
    """The certified code of a package with one module, which is made in the folder."""
    from encserve_local.certified_code import CertifiedCode

    (folder / "pkg").mkdir(parents=True)
    sources = {"pkg/__init__.py": "", "pkg/step.py": f"NAME = {folder.parent.name!r}"}
    for path, source in sources.items():
        (folder / path).write_text(source)
    files = {path: hashlib.sha256(source.encode()).hexdigest() for path, source in sources.items()}
    return CertifiedCode(folder, files)


def test_code_that_changes_after_it_was_looked_at_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    code = code_of(tmp_path / "1")
    (tmp_path / "1/pkg/step.py").write_text("NAME = 'changed'")
    with pytest.raises(ContractError, match=r"step.py is not the certified file: expected sha256"):
        code.module("pkg.step")
    assert not [*tmp_path.rglob("*.pyc")]


def test_bytecode_and_modules_beside_the_code_are_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    code = code_of(tmp_path / "1")
    step = tmp_path / "1/pkg/step.py"
    source, stamp = step.read_text(), step.stat()
    step.write_text(source.replace("NAME = '", "NAME ='!"))  # as long, and made at the same time
    os.utime(step, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    py_compile.compile(str(step))
    step.write_text(source)
    os.utime(step, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (tmp_path / "1/pkg/uncertified.py").write_text("")
    before = sorted(tmp_path.rglob("*"))
    name = code.module("pkg.step").NAME
    assert name == tmp_path.name
    with pytest.raises(ModuleNotFoundError):
        code.module("pkg.uncertified")
    assert sorted(tmp_path.rglob("*")) == before


def test_code_is_found_after_an_equal_copy_of_it_was_removed(tmp_path):
    code_of(tmp_path / "removed")
    shutil.rmtree(tmp_path / "removed")
    name = code_of(tmp_path / "kept").module("pkg.step").NAME
    assert name == tmp_path.name
