import os
import subprocess
import sys

import pytest

from encserve import local_admin_secret
from encserve_server.host.locate import Wheel
from encserve_server.launcher.runtime_folder import create_runtime_folder, sweep_stale


@pytest.fixture(autouse=True)
def shared_memory(tmp_path, monkeypatch):
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr("encserve_server.launcher.runtime_folder.SHARED_MEMORY", folder)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return folder


def test_remove_leaves_nothing(tmp_path, shared_memory):
    folder = create_runtime_folder()
    (shared_memory / f"{folder.shm_prefix}region").touch()
    folder.remove()
    assert list(shared_memory.iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_two_servers_of_one_process_do_not_share(shared_memory):
    first, second = create_runtime_folder(), create_runtime_folder()
    region = shared_memory / f"{second.shm_prefix}region"
    region.touch()
    first.remove()
    assert region.exists()
    assert second.path.exists()
    second.remove()


def test_sweep_removes_what_is_unlocked_and_leaves_the_rest(tmp_path, shared_memory):
    live = create_runtime_folder()
    stale = create_runtime_folder()
    (shared_memory / f"{stale.shm_prefix}region").touch()
    os.close(stale.lock_fd)  # what the kernel does when a process ends
    foreign = shared_memory / "encserve_of_somebody.lock"
    foreign.touch()
    assert sweep_stale() == (stale.stem,)
    assert not stale.path.exists()
    assert live.path.exists()
    assert {path.name for path in shared_memory.iterdir()} == {f"{live.stem}.lock", foreign.name}
    live.remove()


def test_a_server_that_outlives_its_launcher_is_not_stale():
    folder = create_runtime_folder()
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[folder.lock_fd]
    ) as server:
        os.close(folder.lock_fd)
        assert sweep_stale() == ()
        server.communicate(b"\n")
    assert sweep_stale() == (folder.stem,)


def test_link_backends_joins_the_backend_and_the_stub(tmp_path):
    backend, stub = tmp_path / "backends" / "python", tmp_path / "stubs" / "{}.{}".format(*sys.version_info)
    for file in (backend / "libtriton_python.so", stub / "triton_python_backend_stub"):
        file.parent.mkdir(parents=True)
        file.write_text(file.name)
    (backend / "__pycache__").mkdir()
    wheel = Wheel(backend_folder=backend.parent, cache_folder=tmp_path, stub_folder=stub.parent, libs_folder=tmp_path)
    folder = create_runtime_folder()
    linked = folder.link_backends(wheel) / "python"
    assert {file.name: file.read_text() for file in linked.iterdir()} == {
        "libtriton_python.so": "libtriton_python.so",
        "triton_python_backend_stub": "triton_python_backend_stub",
    }
    folder.remove()


def test_the_admin_secret_is_for_this_user_alone(tmp_path):
    older, newer = create_runtime_folder(), create_runtime_folder()
    older.keep_admin_secret("of a server that was killed", grpc_port=8001)
    newer.keep_admin_secret("of the one that runs", grpc_port=8001)
    os.utime(older.path / "admin_secret_8001", (0, 0))
    assert (newer.path / "admin_secret_8001").stat().st_mode & 0o777 == 0o600
    assert newer.path.stat().st_mode & 0o777 == 0o700
    for url in ("localhost:8001", "127.0.0.1:8001", "[::1]:8001"):
        assert local_admin_secret(url) == "of the one that runs"
    for url in ("localhost:8002", "10.0.0.1:8001", "triton.example.org:8001", "localhost", ""):
        assert local_admin_secret(url) is None  # another port; or another host, which must never see it
    older.remove()
    newer.remove()
    assert local_admin_secret("localhost:8001") is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_what_another_user_has_put_there_is_no_secret():
    folder = create_runtime_folder()
    folder.keep_admin_secret("planted", grpc_port=8001)
    os.chown(folder.path / "admin_secret_8001", 12345, 12345)
    assert local_admin_secret("localhost:8001") is None
    folder.remove()
