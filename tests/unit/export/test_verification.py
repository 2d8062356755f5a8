"""`encserve verify` against servers that answer rightly, otherwise, with NaN, or not at all."""

import hashlib
import json

import numpy as np
import pytest

from encserve import InferenceFailed, Unavailable
from encserve.testing import FakeTransport, fake_pipeline
from encserve_export import verify_command
from encserve_export.corpus import mixed_texts
from encserve_export.errors import CertificateFailed
from encserve_export.reference_file import Question, read_reference, write_reference
from encserve_export.verification import verify

WIDTH = 8
TEXTS = mixed_texts(12, longest_bytes=200)
LIMITS = {"max_length": 64, "max_texts_per_request": 5, "max_tokens_per_request": 128}


def tokens_of(text):
    return [1, *(2 + byte for byte in text.encode()[:62]), 0]


def vector_of(ids):
    return np.sin(np.arange(1, WIDTH + 1) * float(np.sum(np.asarray(ids) % 97))).astype(np.float32)


class Server:
    """A pipeline that answers as its checkpoint does, but for what a test changes."""

    def __init__(self):
        self.error = lambda ids: 0.0
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        if request.model == "fake_tokenize":
            rows = [tokens_of(text.decode()) for text in request.inputs["text"]]
            return {"input_ids": np.concatenate(rows)[None], "lengths": np.array([[len(row) for row in rows]])}
        if request.model == "fake":
            return {"embedding": np.ones((1, len(request.inputs["text"]), WIDTH), np.float32)}
        lengths = request.inputs["lengths"][0]
        assert len(lengths) <= LIMITS["max_texts_per_request"]
        assert lengths.sum() <= LIMITS["max_tokens_per_request"]
        texts = np.split(request.inputs["input_ids"][0], np.cumsum(lengths)[:-1])
        return {"sentence_embedding": np.array([[vector_of(ids) + self.error(ids) for ids in texts]], np.float32)}


@pytest.fixture
def folder(tmp_path):
    """A repository with the manifest and the reference of version 1."""
    version = tmp_path / "fake" / "1"
    version.mkdir(parents=True)
    question = Question(
        inputs={"text": TEXTS}, options={}, output="sentence_embedding", follows="lengths", logits=False
    )
    rows = [vector_of(tokens_of(text))[None] for text in TEXTS]
    write_reference(version, question, [(tokens_of(text), None) for text in TEXTS], rows)
    figures = {name: {"measured": 0.0, "limit": limit} for name, limit in [("max_abs_diff", 1e-4)]}
    manifest = {
        "body": "",
        "engine": "python",
        "graph_inputs": ["input_ids", "lengths"],
        "dimensions": WIDTH,
        "precision": "fp32",
        "limits": LIMITS,
        "parity": {"figures": figures},
        "files": {"fake/1/reference.npz": hashlib.sha256((version / "reference.npz").read_bytes()).hexdigest()},
    }
    (version / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def served(folder, server, **changes):
    certificate = hashlib.sha256((folder / "fake/1/manifest.json").read_bytes()).hexdigest()
    names = ("fake", "fake_tokenize", "fake_encode")
    return FakeTransport(
        server, pipelines=[fake_pipeline(name=name, **{"certificate": certificate, **changes}) for name in names]
    )


@pytest.fixture
def server():
    return Server()


def verification_of(folder, server, **changes):
    return verify(served(folder, server, **changes), "fake", folder, timeout_s=5)


def test_a_server_that_answers_as_certified_has_not_drifted(folder, server):
    verification = verification_of(folder, server)
    assert not verification.drifted
    figures = {figure.name: figure.measured for figure in verification.figures}
    assert figures["cosine_min"] == pytest.approx(1)
    assert (figures["max_abs_diff"], figures["nonfinite_lengths"]) == (0, 0)
    assert {request.model for request in server.requests} == {"fake_tokenize", "fake_encode", "fake"}
    assert all(request.parameters == {"fresh": True} for request in server.requests if request.model == "fake_encode")


def test_another_number_is_found_with_the_text_it_is_worst_for(folder, server):
    server.error = lambda ids: 0.01 if len(ids) == 64 else 0
    (complaint,) = [each for each in verification_of(folder, server).complaints if each.startswith("max_abs_diff")]
    assert "must be at most 0.0001; worst is text" in complaint
    assert "of 64 tokens" in complaint


def test_the_limits_are_those_of_the_manifest(folder, server):
    server.error = lambda ids: 1e-6
    manifest = folder / "fake/1/manifest.json"
    manifest.write_text(manifest.read_text().replace("0.0001", "1e-12"))
    assert any("must be at most 1e-12" in each for each in verification_of(folder, server).complaints)


def test_neighbours_that_matter_are_found(folder, server):
    answer = server.__call__

    class Leaking(Server):
        def __call__(self, request):
            tensors = answer(request)
            if request.model == "fake_encode":
                tensors["sentence_embedding"] += 1e-4 * (request.inputs["lengths"].shape[1] > 1)
            return tensors

    assert any(each.startswith("company_max_abs_diff") for each in verification_of(folder, Leaking()).complaints)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_found(value, folder, server):
    server.error = lambda ids: value if len(ids) > 40 else 0
    complaints = verification_of(folder, server).complaints
    assert any(each.startswith("nonfinite_lengths") for each in complaints)


def test_a_step_that_refuses_to_answer_with_nan_is_found(folder, server):
    """The encode step of the local backend answers with an error for the whole request."""

    def refuse(ids):
        if len(ids) > 60:
            raise InferenceFailed("text 0 holds NaN")
        return 0.0

    server.error = refuse
    verification = verification_of(folder, server)
    assert "the encode step says: text 0 holds NaN" in verification.complaints
    (scan,) = [figure for figure in verification.figures if figure.name == "nonfinite_lengths"]
    assert 0 < scan.measured < 5


def test_nan_in_the_answer_alone_is_found(folder, server):
    class Broken(Server):
        def __call__(self, request):
            tensors = super().__call__(request)
            return {name: tensor * np.nan for name, tensor in tensors.items()} if request.model == "fake" else tensors

    assert verification_of(folder, Broken()).complaints == ["the pipeline's answer embedding holds NaN or infinity"]


def test_other_tokens_are_found_and_no_number_is_claimed_for_them(folder, server, monkeypatch):
    monkeypatch.setitem(globals(), "tokens_of", lambda text: [1, *(3 + byte for byte in text.encode()[:62]), 0])
    verification = verification_of(folder, server)
    assert verification.figures == []
    assert verification.complaints == ["the tokenize step gives other tokens than the checkpoint for 11 texts"]


def test_another_certificate_is_drift(folder, server):
    (complaint,) = verification_of(folder, server, certificate="f" * 64).complaints
    assert "the server runs another export" in complaint


def test_a_reference_that_was_changed_is_found(folder, server):
    file = folder / "fake/1/reference.npz"
    reference = read_reference(file)
    tokens = [(ids.tolist(), None) for ids in reference.input_ids]
    write_reference(file.parent, reference.question, tokens, [rows + 1 for rows in reference.rows])
    (complaint,) = verification_of(folder, server).complaints
    assert "reference.npz is not the certified file" in complaint


def test_a_repository_without_the_pipeline_is_named(folder, server, tmp_path):
    with pytest.raises(CertificateFailed, match=r"elsewhere/fake holds no manifest\.json"):
        verify(served(folder, server), "fake", tmp_path / "elsewhere", timeout_s=5)


def test_a_reference_that_is_missing_or_broken_is_named(folder, server):
    file = folder / "fake/1/reference.npz"
    file.write_bytes(b"half")
    with pytest.raises(CertificateFailed, match=r"reference\.npz cannot be read"):
        verification_of(folder, server)
    file.unlink()
    with pytest.raises(CertificateFailed, match=r"reference\.npz is missing"):
        verification_of(folder, server)


def test_a_server_that_is_down_is_no_drift(folder):
    def down(request):
        raise Unavailable("no connection")

    with pytest.raises(Unavailable):
        verification_of(folder, down)


def test_wide_rows_are_kept_of_some_texts(tmp_path, monkeypatch):
    monkeypatch.setattr("encserve_export.reference_file._MOST_NUMBERS", 100)
    question = Question(inputs={"text": ["a"] * 6}, options={}, output="logits", follows="input_ids", logits=True)
    rows = [np.full((3, 10), index, np.float32) for index in range(6)]
    write_reference(tmp_path, question, [([index] * 3, [0] * 3) for index in range(6)], rows)
    reference = read_reference(tmp_path / "reference.npz")
    assert len(reference.kept) == 3
    assert [ids.tolist() for ids in reference.input_ids] == [[index] * 3 for index in range(6)]
    assert [rows[0, 0] for rows in reference.rows] == reference.kept
    assert reference.question == question


@pytest.mark.parametrize(("error", "code", "verdict"), [(0.0, 0, "has not drifted"), (0.5, 1, "has drifted")])
def test_the_command_says_the_verdict_and_exits_with_it(error, code, verdict, folder, server, monkeypatch, capsys):
    import argparse

    server.error = lambda ids: error if len(ids) > 10 else 0.0
    monkeypatch.setattr(verify_command, "GrpcTransport", lambda url: served(folder, server))
    parser = argparse.ArgumentParser()
    verify_command.add_arguments(parser)
    given = ["fake", "--repository", str(folder)]
    assert verify_command.run(parser.parse_args(given)) == code
    assert verdict in capsys.readouterr().out
    assert verify_command.run(parser.parse_args([*given, "--json"])) == code
    stated = json.loads(capsys.readouterr().out)
    assert stated["drifted"] is bool(code)
    assert stated["figures"]["max_abs_diff"]["holds"] is not bool(code)
