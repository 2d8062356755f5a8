"""The model repositories of others that a run writes."""

import pytest
from benchmarks.systems.servers import triton_repositories


@pytest.mark.parametrize("cores", [1, 16])
def test_ctranslate2_has_an_instance_for_each_core(cores, tmp_path, monkeypatch):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(triton_repositories, "interpreter", lambda environment: tmp_path / "bin" / "python")
    monkeypatch.setattr(triton_repositories, "ctranslate2_folder", lambda: tmp_path / "encoder")
    monkeypatch.setattr(triton_repositories, "cores", lambda: cores)
    triton_repositories.REPOSITORIES["ctranslate2 int8"](tmp_path / "repository")
    config = (tmp_path / "repository" / "minilm" / "config.pbtxt").read_text()
    assert f"instance_group [{{ kind: KIND_CPU count: {cores} }}]" in config
