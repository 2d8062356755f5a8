"""Versions that are broken, and a disk that is full: neither takes traffic, and callers notice nothing."""

import shutil
import subprocess
from contextlib import suppress

import numpy as np
import pytest
from rolling import answers_from, callers, command, wait_for
from serving import certify_again, change_weights, copy_version, serve_config

from encserve_server import promote
from encserve_server.errors import PromotionFailed
from encserve_server.launcher.server import TritonServer


def break_network(repository, version):
    """Weights that give NaN, with the certificate of those files: only a question shows it."""

    def poison(tensor, values):
        return np.full_like(values, np.nan) if len(tensor.dims) == 2 else None

    change_weights(repository, "minilm", version, poison)


def break_tokenize(repository, version):
    """A step that does not load, certified as it is."""
    model = repository / f"minilm_tokenize/{version}/model.py"
    model.write_text("raise ValueError('this step is broken')\n")
    certify_again(repository, "minilm", version, model)


def corrupt(model, file):
    def break_it(repository, version):
        path = repository / model / str(version) / file
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return break_it


BROKEN = {
    "a network that gives NaN": (break_network, r"does not answer: .*NaN or infinity"),
    "a step that does not load": (break_tokenize, "this step is broken"),
    "a corrupt graph": (corrupt("minilm_encode", "model.onnx"), r"model\.onnx is not the certified file"),
    "a corrupt tokenizer": (corrupt("minilm_tokenize", "tokenizer.json"), r"tokenizer\.json is not the certified file"),
    "a corrupt manifest": (corrupt("minilm", "manifest.json"), "is damaged|is no manifest"),
}


def test_no_broken_version_ever_takes_traffic(repository, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(repository, models, ignore=shutil.ignore_patterns(".*", "prompted*"))
    for version in range(2, 2 + len(BROKEN)):
        copy_version(models, "minilm", 1, version)
    with TritonServer(serve_config(models)) as server, callers(server) as versions:
        for version, (damage, message) in enumerate(BROKEN.values(), start=2):
            damage(models, version)
            wait_for(versions, 20)
            with pytest.raises(PromotionFailed, match=message):
                command(promote, server, "minilm", str(version))
            wait_for(versions, 20)
    assert set(versions) == {"1"}
    with TritonServer(serve_config(models)) as again:  # the repository says what is served
        assert answers_from(again, 1)


def fill(ballast):
    """Write until the disk is full."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**12))


def test_a_full_disk_stops_a_promotion_and_nothing_else(repository, tmp_path):
    models = tmp_path / "small"
    models.mkdir()
    size = sum(file.stat().st_size for file in repository.rglob("*") if "prompted" not in str(file)) * 2 + 2**23
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", models], check=False).returncode:
        pytest.skip("mounting a file system of a limited size takes root")
    try:
        for model in repository.glob("minilm*"):
            shutil.copytree(model, models / model.name)
        copy_version(models, "minilm", 1, 2)
        with TritonServer(serve_config(models)) as server:
            (models / ".encserve/minilm").mkdir(parents=True)
            (models / ".encserve/minilm/lock").touch()
            fill(models / "ballast")
            with callers(server) as versions:
                wait_for(versions, 20)
                with pytest.raises(PromotionFailed, match="No space left on device; version 1 of minilm goes on"):
                    command(promote, server, "minilm", "2")
                wait_for(versions, 20)
                (models / "ballast").unlink()
                for compiled in (models / "minilm_encode" / "2").rglob(
                    "*.pyc"
                ):  # as Python leaves those of a full disk
                    compiled.write_bytes(compiled.read_bytes()[:-20])
                command(promote, server, "minilm", "2")
                wait_for(versions, 20)
            assert set(versions) == {"1", "2"}
    finally:
        subprocess.run(["umount", models], check=True)
