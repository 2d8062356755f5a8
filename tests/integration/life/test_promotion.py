"""Versions of a pipeline rolled in and out while callers ask: no request fails, and each answer says who made it."""

import argparse
import json
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from itertools import pairwise

import httpx
import numpy as np
import pytest
from gateways import running_gateway
from serving import certify_again, change_weights, copy_version, serve_config, sha256_of

from encserve import Candidate, Client, Retry
from encserve_lifecycle.comparison import command as compare
from encserve_repository.activation import surplus
from encserve_repository.serving import is_served
from encserve_server import canary, health, promote, rollback, shadow
from encserve_server.errors import PromotionFailed
from encserve_server.launcher.server import TritonServer
from encserve_server.processes.process import child_pids

NO_RETRIES = Retry(attempts=1)
PAUSE_S = 0.02
"""Of a caller between two questions: without one the callers alone would keep both cores busy, and a version takes
many times as long to come and go."""


@pytest.fixture
def two_versions(repository, tmp_path):
    """A server of version 1, in whose repository version 2 waits."""
    models = tmp_path / "models"
    shutil.copytree(repository, models, ignore=shutil.ignore_patterns(".*", "prompted*"))
    copy_version(models, "minilm", 1, 2)
    with TritonServer(serve_config(models)) as running:
        yield running


def command(module, server, *words):
    """Run one of the commands as a shell would."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    repository = () if module in (health, compare) else (f"--repository={server.config.repository}",)
    return module.run(parser.parse_args([*words, f"--url={server.grpc_url}", *repository]))


@contextmanager
def callers(server, count=4, *, strangers=False, named=None):
    """Callers who ask again and again, without retries, as long as the block lasts: the versions that answered.

    `strangers` are new to the server with each question, so that they ask as well what a version is; all have the name
    `named`, if there is one.
    """
    versions, failures, done = [], [], threading.Event()

    def ask(number):
        while not done.is_set():
            with Client(server.grpc_url, retry=NO_RETRIES, timeout_s=300) as client:
                try:
                    while not done.wait(PAUSE_S):
                        text = f"{number} {len(versions)}"
                        versions.append(client.embed([text], model="minilm", caller=named).version)
                        if strangers:
                            break
                except Exception as error:
                    failures.append(error)
                    return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield versions
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []


def answers_from(server, version):
    with Client(server.grpc_url) as client:
        return client.embed(["x"], model="minilm").version == str(version)


def wait_for(versions, more):
    """Until so many more answers have come. Callers who failed bring none."""
    enough, deadline_s = len(versions) + more, time.monotonic() + 300
    while len(versions) < enough:
        assert time.monotonic() < deadline_s, f"{len(versions)} answers, and no more"
        time.sleep(0.01)


def test_versions_roll_in_and_out_under_load_and_no_request_fails(two_versions):
    server = two_versions
    with callers(server, 2) as versions, callers(server, 2, strangers=True) as of_strangers:
        for told in (versions, of_strangers):
            wait_for(told, 50)
        for _ in range(3):
            for roll, version in ((promote, 2), (rollback, 1)):
                began_s = time.monotonic()
                command(roll, server, "minilm", *(["2"] if roll is promote else []))
                assert answers_from(server, version)
                print(f"version {version} after {time.monotonic() - began_s:.2f} s")
                for told in (versions, of_strangers):
                    wait_for(told, 20)
    for told in (versions, of_strangers):
        assert set(told) == {"1", "2"}
        assert sum(one != other for one, other in pairwise(told)) >= 6
    assert command(health, server) == 0


def give_encode_its_own_model(repository):
    """Let version 2 have its encode step where a plan has it, in batches of fewer requests; in the Python backend."""
    encode, plan = repository / "minilm_encode", repository / "minilm_encode_tensorrt"
    plan.mkdir()
    (encode / "2").rename(plan / "2")
    config = (encode / "config.pbtxt").read_text().replace('name: "minilm_encode"', 'name: "minilm_encode_tensorrt"')
    config = config.replace("versions: 1", "versions: 2").replace("max_batch_size: 64", "max_batch_size: 8")
    (plan / "config.pbtxt").write_text(config)
    (plan / "2/config.pbtxt").write_text(config)
    folder = repository / "minilm/2"
    old = sha256_of(folder / "manifest.json")
    settings = repository / "minilm_tokenize/2/settings.json"
    settings.write_text(settings.read_text().replace('"minilm_encode"', '"minilm_encode_tensorrt"'))
    stated = json.loads((folder / "manifest.json").read_text())
    files = {path.replace("minilm_encode/", "minilm_encode_tensorrt/"): each for path, each in stated["files"].items()}
    files["minilm_tokenize/2/settings.json"] = sha256_of(settings)
    files["minilm_encode_tensorrt/2/config.pbtxt"] = sha256_of(plan / "2/config.pbtxt")
    (folder / "manifest.json").write_text(json.dumps(stated | {"files": files}))
    ensemble = (folder / "config.pbtxt").read_text().replace(old, sha256_of(folder / "manifest.json"))
    ensemble = ensemble.replace('model_name: "minilm_encode"', 'model_name: "minilm_encode_tensorrt"')
    (folder / "config.pbtxt").write_text(ensemble.replace("max_batch_size: 64", "max_batch_size: 8"))


def test_a_version_whose_encode_step_is_another_model_rolls_in_and_out(repository, tmp_path):
    """As a plan does after ONNX Runtime."""
    models = tmp_path / "models"
    shutil.copytree(repository, models, ignore=shutil.ignore_patterns(".*", "prompted*"))
    copy_version(models, "minilm", 1, 2)
    give_encode_its_own_model(models)
    with TritonServer(serve_config(models)) as server:
        with callers(server) as versions:
            wait_for(versions, 20)
            command(promote, server, "minilm", "2")
            assert answers_from(server, 2)
            wait_for(versions, 20)
            command(rollback, server, "minilm")
            assert answers_from(server, 1)
            command(promote, server, "minilm", "2")
            wait_for(versions, 20)
        assert set(versions) == {"1", "2"}
    with TritonServer(serve_config(models)) as again:
        assert answers_from(again, 2)


def test_a_candidate_answers_its_callers_through_a_restart_until_it_is_promoted(two_versions, tmp_path, capsys):
    server = two_versions
    repository = server.config.repository
    by_name = {name: Candidate(version="2", share=0.5).takes("minilm", name) for name in map(str, range(20))}
    assert set(by_name.values()) == {True, False}

    def versions_of_callers(of):
        with Client(of.grpc_url) as client:
            answers = {name: client.embed(["a", "b"], model="minilm", caller=name) for name in by_name}
            assert {answer.model for answer in answers.values()} == {"minilm"}
            assert client.embed(["a"], model="minilm").version == client.embed(["a"], model="minilm").version
            return {name: answer.version for name, answer in answers.items()}

    shared = {name: "2" if taken else "1" for name, taken in by_name.items()}
    taken = next(name for name, is_taken in by_name.items() if is_taken)
    with (
        callers(server, 2) as versions,
        callers(server, 1, named=taken) as of_taken,
        callers(server, 1, named=taken, strangers=True) as of_strangers,
    ):
        wait_for(versions, 20)
        command(canary, server, "minilm", "2", "--share=50%")
        wait_for(of_strangers, 20)
        assert versions_of_callers(server) == shared
        with Client(server.grpc_url) as client:
            (listed,) = [each for each in client.models() if each.name.startswith("minilm")]
            assert listed.candidate == Candidate(version="2", share=0.5)
            stale = client.embed(["a"], model="minilm", version="candidate")
            assert (stale.version, stale.certificate) != (listed.version, listed.certificate)
            command(canary, server, "minilm", "--end")
            # What a client knows of a share is ten seconds old at most; until then it finds nobody there, and goes on.
            assert client.embed(["a"], model="minilm", caller=next(iter(by_name))).version == "1"
        assert set(versions_of_callers(server).values()) == {"1"}
        command(canary, server, "minilm", "2", "--share=0.5")
        wait_for(versions, 20)
    assert set(versions) == {"1"}  # who embeds and names nobody
    assert set(of_strangers) == {"1", "2"}
    assert set(of_taken) <= {"1", "2"}
    server.stop()
    with TritonServer(serve_config(repository)) as again:
        assert versions_of_callers(again) == shared
        command(shadow, again, "minilm", "2", "--share=100%")
        assert shadowed_cosines(again) >= 0.999 * 4
        texts = tmp_path / "texts.txt"
        texts.write_text("\n".join(f"text {number}" for number in range(30)))
        command(compare, again, "minilm", "minilm_candidate", f"--texts={texts}", f"--report={tmp_path / 'page.html'}")
        assert "keep it" in capsys.readouterr().out
        with callers(again, 2) as versions, callers(again, 2, named=taken) as of_taken:
            wait_for(of_taken, 20)
            command(promote, again, "minilm", "2")
            wait_for(versions, 20)
        assert set(of_taken) == {"2"}  # before it and after it
        assert set(versions_of_callers(again).values()) == {"2"}
        assert command(health, again) == 0


def shadowed_cosines(server):
    """The sum of the cosines of four texts that a gateway has a candidate asked again."""
    with running_gateway(server.grpc_url, "--model=minilm") as address, httpx.Client(base_url=address) as http:
        answered = http.post("/v1/embeddings", json={"model": "minilm", "input": ["a", "b", "c", "d"]})
        assert (answered.status_code, answered.headers["encserve-version"]) == (200, "1")
        deadline_s = time.monotonic() + 60
        while True:
            for line in http.get("/metrics").text.splitlines():
                if line.startswith("encserve_gateway_shadow_cosine_sum"):
                    return float(line.split()[-1])
            assert time.monotonic() < deadline_s, "the candidate was not asked"
            time.sleep(0.05)


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


def test_what_was_only_published_is_not_served_by_the_next_start(two_versions):
    server = two_versions
    repository = server.config.repository
    assert is_served(repository)
    server.stop()
    assert not is_served(repository)
    with TritonServer(serve_config(repository)) as again:
        assert answers_from(again, 1)
        command(promote, again, "minilm", "2")
        assert surplus(repository)  # version 1 stays loaded, so that going back takes no loading
    with TritonServer(serve_config(repository)) as again:
        assert answers_from(again, 2)
        assert not surplus(repository)
        command(rollback, again, "minilm")
        assert answers_from(again, 1)


def test_a_version_that_does_not_exist(server):
    with pytest.raises(PromotionFailed, match=r"has no version 9 of minilm: .*minilm/9/manifest\.json is missing"):
        command(promote, server, "minilm", "9")
    with pytest.raises(PromotionFailed, match="was not promoted"):
        command(rollback, server, "minilm")
    assert answers_from(server, 1)


def test_what_is_no_longer_served_does_not_pile_up(two_versions):
    server = two_versions
    before = len(child_pids(server.pid))
    for version in ("2", "1", "2", "1"):
        command(promote, server, "minilm", version)
    deadline = time.monotonic() + 300  # Triton ends the processes of an unloaded step in its own time
    while len(child_pids(server.pid)) > 2 * before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(child_pids(server.pid)) <= 2 * before


def fill(ballast):
    """Write until the disk is full."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**12))


def test_a_full_disk_stops_a_promotion_and_nothing_else(repository, tmp_path):
    models = tmp_path / "small"
    models.mkdir()
    size = sum(file.stat().st_size for file in repository.rglob("*") if "prompted" not in str(file)) * 2 + 2**21
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
                command(promote, server, "minilm", "2")
                wait_for(versions, 20)
            assert set(versions) == {"1", "2"}
    finally:
        subprocess.run(["umount", models], check=True)
