from importlib.machinery import ModuleSpec

import pytest

from encserve_server.errors import TritonNotFound
from encserve_server.host.locate import find_triton


@pytest.fixture
def path_folder(tmp_path, monkeypatch):
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def site(tmp_path, monkeypatch):
    def find_spec(name):
        assert name == "pytriton"
        return ModuleSpec(name, None, origin=str(tmp_path / "site" / "pytriton" / "__init__.py"))

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    return tmp_path / "site"


def make_executable(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def test_path_comes_first_and_needs_nothing_from_us(path_folder, site):
    make_executable(site / "pytriton/tritonserver/bin/tritonserver")
    executable = make_executable(path_folder / "tritonserver")
    installation = find_triton()
    assert (installation.executable, installation.wheel) == (executable, None)


def test_the_wheel_is_found_beside_its_libraries(path_folder, site):
    executable = make_executable(site / "pytriton/tritonserver/bin/tritonserver")
    installation = find_triton()
    assert installation.executable == executable
    assert installation.wheel.libs_folder == site / "nvidia_pytriton.libs"


def test_neither(path_folder, site):
    with pytest.raises(TritonNotFound, match=r"pip install '\.\[server\]'` in a clone"):
        find_triton()
