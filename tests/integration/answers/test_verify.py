"""A real server, asked again what its pipelines were certified with."""

import argparse
import hashlib
import shutil
import urllib.request

import numpy as np
from serving import poison_word, serve_config

from encserve import GrpcTransport
from encserve_export.commands import verify_command
from encserve_export.verify import verify
from encserve_server.launcher.server import TritonServer


def verification_of(server, name, repository):
    transport = GrpcTransport(server.grpc_url)
    try:
        return verify(transport, name, repository, timeout_s=120)
    finally:
        transport.close()


def test_a_fresh_server_has_not_drifted(server, repository, client):
    for name in ("minilm", "prompted"):
        verification = verification_of(server, name, repository)
        assert verification.complaints == []
        measured = {figure.name: figure.measured for figure in verification.figures}
        assert measured["max_abs_diff"] < 1e-5
        assert 0 <= measured["company_max_abs_diff"] < 1e-5


def test_a_network_that_gives_nan_is_drift(repository, tmp_path, capsys):
    """Of one word, which texts of the certificate have."""
    models = tmp_path / "models"
    shutil.copytree(repository, models, ignore=shutil.ignore_patterns(".*", "prompted*"))
    poison_word(models, "minilm", "the", np.nan)
    parser = argparse.ArgumentParser()
    verify_command.add_arguments(parser)
    with TritonServer(serve_config(models)) as server:
        code = verify_command.run(parser.parse_args(["minilm", f"--url={server.grpc_url}", f"--repository={models}"]))
        said = capsys.readouterr().out
        with urllib.request.urlopen(server.metrics_url) as page:
            (count,) = (
                line for line in page.read().decode().splitlines() if line.startswith("encserve_nonfinite_texts{")
            )
    assert code == 1
    assert "has drifted" in said
    assert "the pipeline fails at text " in said
    assert "holds NaN or infinity" in said
    assert float(count.rsplit(" ", 1)[1]) > 0


def test_every_result_names_the_manifest_of_the_version_that_answered(server, repository, client):
    manifest = (repository / "minilm/1/manifest.json").read_bytes()
    certificate = hashlib.sha256(manifest).hexdigest()
    for texts in (["a text"], [f"text {index}" for index in range(150)], []):
        assert client.embed(texts, model="minilm").certificate == certificate
    for part in client.embed_iter((f"text {index}" for index in range(70)), model="minilm"):
        assert part.certificate == certificate
    assert verification_of(server, "minilm", repository).certificate == certificate


def test_a_checkpoint_that_says_something_else_is_drift(server, repository, tmp_path):
    """The other way round: the same server, and a reference of which one number differs by one part in a thousand."""
    shutil.copytree(repository / "minilm", tmp_path / "minilm")
    file = tmp_path / "minilm/1/reference.npz"
    with np.load(file) as arrays:
        changed = dict(arrays)
    changed["numbers"][0] += 1e-3
    np.savez(file, **changed)
    verification = verification_of(server, "minilm", tmp_path)
    assert any("is not the certified file" in complaint for complaint in verification.complaints)
    assert any("worst is text 0 of 2 tokens" in complaint for complaint in verification.complaints)
