"""A stock Triton that polls a repository in which exports are killed: it never sees half a model."""

import os
import subprocess
import time
from contextlib import closing, contextmanager

import pytest
from own_ports import own_ports
from toy_versions import check_loadable, killed_at, write_version
from tritonclient.grpc import InferenceServerClient

from encserve_repository.publication.staging import staged_version
from encserve_repository.versions import active_config, published_versions
from encserve_server.host.locate import find_triton
from encserve_server.host.platform import read_host
from encserve_server.launcher.environment import wheel_environment
from encserve_server.launcher.runtime_folder import create_runtime_folder

POLL_S = 1
MOVES = ("rename", "unlink")
TROUBLE = (" E ", "Poll failed", "failed to load", "failed to stat", "is not found", "unable to")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads


@contextmanager
def polling_triton(repository, log):
    """`tritonserver` as anybody would start it with --model-control-mode=poll; what it says goes to `log`."""
    http, grpc, metrics = own_ports(3)
    installation, folder = find_triton(), create_runtime_folder()
    flags = [
        f"--model-repository={repository}",
        "--model-control-mode=poll",
        f"--repository-poll-secs={POLL_S}",
        f"--http-port={http}",
        f"--grpc-port={grpc}",
        f"--metrics-port={metrics}",
        f"--backend-config=python,shm-region-prefix-name={folder.shm_prefix}",
    ]
    environment = dict(os.environ)
    if installation.wheel is not None:
        flags.append(f"--backend-directory={folder.link_backends(installation.wheel)}")
        environment = wheel_environment(os.environ, wheel=installation.wheel, libpython=read_host().libpython)
    with log.open("wb") as said:
        server = subprocess.Popen(
            [str(installation.executable), *flags], env=environment, stdout=said, stderr=subprocess.STDOUT
        )
    try:
        with closing(InferenceServerClient(f"localhost:{grpc}")) as client:
            wait_for(lambda: is_live(client), log)
            yield client
    finally:
        server.terminate()
        server.wait(120)
        folder.remove()


def is_live(client):
    try:
        return client.is_server_live()
    except Exception:
        return False


def wait_for(holds, log, within_s=120):
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, log.read_text()[-3000:]
        time.sleep(0.1)


def ready(client):
    """Model -> the versions of it that are ready."""
    versions = {}
    for model in client.get_model_repository_index().models:
        if model.state == "READY":
            versions.setdefault(model.name, set()).add(int(model.version))
    return versions


def offered(repository):
    """What the repository says that Triton should load."""
    return {
        folder.name: set(active_config(repository, folder.name).version_policy.specific.versions)
        for folder in repository.iterdir()
        if folder.is_dir()
    }


def settle(client, repository, log):
    """Until what is offered is ready and Triton says nothing more.

    It loads a Python model twice: Python leaves what it compiled beside the model, and the next poll sees another file.
    """
    wait_for(lambda: ready(client) == offered(repository), log)
    said = -1
    while said != log.stat().st_size or ready(client) != offered(repository):
        said = log.stat().st_size
        time.sleep(2.5 * POLL_S)


def trouble_in(log):
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if any(each in line for each in TROUBLE) and "CUDA" not in line]  # no GPU here


@pytest.mark.slow
def test_a_polling_triton_sees_whole_models_whatever_kills_exports(tmp_path):
    repository, log = tmp_path / "models", tmp_path / "triton.log"
    repository.mkdir()
    with polling_triton(repository, log) as client:
        before = trouble_in(log)
        for already in (0, 1):  # the first version, and another one that becomes active
            change = 0
            while killed_at(change, lambda: write_version(repository), MOVES):
                settle(client, repository, log)
                assert trouble_in(log) == before, f"killed before change {change} of version {already + 1}"
                with staged_version(repository, "minilm"):  # what the next export clears away
                    pass
                change += 1 if len(published_versions(repository, "minilm")) == already else 100  # it was published
            settle(client, repository, log)
            check_loadable(repository)
        assert trouble_in(log) == before
