"""Versions of a pipeline rolled in and out while callers ask: no request fails, and each answer says who made it."""

import json
import shutil
import time
from itertools import pairwise

import pytest
from rolling import answers_from, callers, command, wait_for
from serving import copy_version, serve_config, sha256_of

from encserve_repository.activation import surplus
from encserve_repository.serving import is_served
from encserve_server import health, promote, rollback
from encserve_server.errors import PromotionFailed
from encserve_server.launcher.server import TritonServer
from encserve_server.processes.process import child_pids


def test_versions_roll_in_and_out_under_load_and_no_request_fails(two_versions):
    server = two_versions
    with callers(server, 2) as versions, callers(server, 2, strangers=True) as of_strangers:
        for told in (versions, of_strangers):
            wait_for(told, 50)
        for _ in range(2):
            for roll, version in ((promote, 2), (rollback, 1)):
                began_s = time.monotonic()
                command(roll, server, "minilm", *(["2"] if roll is promote else []))
                assert answers_from(server, version)
                print(f"version {version} after {time.monotonic() - began_s:.2f} s")
                for told in (versions, of_strangers):
                    wait_for(told, 20)
    for told in (versions, of_strangers):
        assert set(told) == {"1", "2"}
        assert sum(one != other for one, other in pairwise(told)) >= 4
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
