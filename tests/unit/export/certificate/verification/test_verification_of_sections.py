"""What `encserve verify` asks beside the corpus: neighbours, texts of all lengths, and what was held out of a file."""

import argparse
import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from encserve import InferenceFailed
from encserve.testing import FakeTransport, fake_pipeline
from encserve_export.certificate.subject.examination import Examination
from encserve_export.certificate.verification.reference_file import write_reference
from encserve_export.commands import verify_command
from encserve_export.errors import CertificateFailed
from encserve_export.reference.messages import Answer, Answered
from encserve_export.texts.calibration_file import own_texts
from encserve_export.texts.parts import digest_of
from encserve_export.texts.questions import Form, questions_of
from encserve_export.verify import verify

LIMITS = {"max_length": 64, "max_texts_per_request": 8, "max_tokens_per_request": 512}
CORPUS = [f"corpus text {number}" for number in range(12)]
RELATED = [f"related text {number}" for number in range(24)]
LENGTHS = ["a", "a bit", "a bit more"]
OWN = [f"own{number} words{number} that{number} nobody{number} else{number} has{number}" for number in range(60)]
SHORTER = {"dimensions": 4}


def vector_of(text):
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=8).astype(np.float32)


class Server:
    """Answers as the library does, but for what a test changes."""

    def __init__(self):
        self.error = lambda text: 0.0
        self.asked = []

    def __call__(self, request):
        texts = [text.decode() for text in request.inputs["text"]]
        self.asked += texts
        width = request.parameters.get("dimensions", 8)
        rows = [(vector_of(text) + self.error(text))[:width] for text in texts]
        return {"embedding": np.array([rows], np.float32), "token_count": np.array([[len(t) for t in texts]], np.int32)}


def examination_of(texts, options=(), **form):
    form = replace(Form.within(LIMITS, task="feature-extraction", layout="single_texts"), **form)
    examination = Examination(task=SimpleNamespace(name="feature-extraction"))
    for asked in questions_of(form, texts, options):
        width = asked.options.get("dimensions", 8)
        own = [(Answer("numbers", vector_of(text)[:width]),) for text in asked.inputs["text"]]
        first = len(examination.token_counts)
        examination.requests.append(asked)
        examination.answered.append(Answered(own, []))
        examination.token_counts += map(len, asked.inputs["text"])
        examination.variants |= {*range(first, first + asked.count)} if asked.variant else set()
    return examination


@pytest.fixture
def file(tmp_path):
    """The user's own texts."""
    written = tmp_path / "own.txt"
    written.write_text("\n".join(OWN))
    return written


@pytest.fixture
def repository(tmp_path, file):
    version = tmp_path / "models/fake/1"
    version.mkdir(parents=True)
    held_out = own_texts(file, "text").held_out
    sections = {
        "corpus": examination_of(CORPUS, [SHORTER]),
        "neighbours": examination_of(RELATED),
        "held_out": examination_of(held_out, [SHORTER]),
        "lengths": examination_of(LENGTHS, texts_per_request=1),
    }
    write_reference(version, "feature-extraction", sections)
    figure = {"max_abs_diff": {"measured": 0.0, "limit": 1e-4}}
    manifest = {
        "precision": "fp32",
        "task": "feature-extraction",
        "pairs": False,
        "mask_token": "",
        "limits": LIMITS,
        "parity": {"figures": figure, "held_out": {"sha256": digest_of(held_out), "texts": 20, "figures": figure}},
        "files": {},
    }
    (version / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path / "models"


@pytest.fixture
def server():
    return Server()


def transport_to(server, repository):
    certificate = hashlib.sha256((repository / "fake/1/manifest.json").read_bytes()).hexdigest()
    return FakeTransport(server, pipelines=[fake_pipeline(name="fake", certificate=certificate)])


def verification_of(server, repository, file=None):
    own = own_texts(file, "text") if file else None
    return verify(transport_to(server, repository), "fake", repository, timeout_s=5, own=own)


def test_everything_that_was_certified_is_asked_again_and_counted(server, repository, file):
    verification = verification_of(server, repository, file)
    assert (verification.complaints, verification.left_out) == ([], [])
    counts = {"corpus": 12, "variants": 8, "neighbours": 24, "lengths": 3, "held_out": 20}
    assert verification.asked == counts
    measured = {figure.name: figure.measured for figure in verification.figures}
    assert (measured["neighbours"], measured["nonfinite_lengths"], measured["max_abs_diff"]) == (1, 0, 0)
    assert {figure.name for figure in verification.held_out} >= {"cosine_min", "max_abs_diff"}
    assert {*own_texts(file, "text").held_out, *CORPUS, *RELATED, *LENGTHS} == {*server.asked}
    by_name = {figure.name: (figure.texts, figure.variants) for figure in verification.figures}
    assert by_name["max_abs_diff"] == (12, 8)


def test_texts_that_lose_their_neighbours_are_drift(server, repository):
    server.error = lambda text: vector_of(f"other {text}") * 3 if text in RELATED else 0.0
    (complaint,) = verification_of(server, repository).complaints
    assert complaint.startswith("neighbours is 0.")


class Leaking(Server):
    """Fails at a text whose neighbours count, and lets a text's vector depend on what is beside it."""

    def __call__(self, request):
        if RELATED[5].encode() in request.inputs["text"]:
            raise InferenceFailed("it holds NaN")
        tensors = super().__call__(request)
        tensors["embedding"] += np.linspace(0, 0.1, tensors["embedding"].shape[-1]) * (len(request.inputs["text"]) > 1)
        return tensors


def test_neighbours_that_cannot_be_told_are_no_figure_and_nothing_is_complained_of_twice(repository):
    verification = verification_of(Leaking(), repository)
    assert "neighbours" not in {figure.name for figure in verification.figures}
    assert "the pipeline fails at text 5 and says: it holds NaN" in verification.complaints
    assert len([each for each in verification.complaints if each.startswith("company_max_abs_diff")]) == 1


def test_what_was_too_wide_to_be_kept_is_left_out_by_name(server, repository, monkeypatch):
    monkeypatch.setattr("encserve_export.certificate.verification.reference_file._MOST_NUMBERS", 3 * 130)
    write_reference(
        repository / "fake/1",
        "feature-extraction",
        {"corpus": examination_of(CORPUS), "neighbours": examination_of(RELATED), "held_out": examination_of(OWN)},
    )
    verification = verification_of(server, repository)
    assert "neighbours" not in {figure.name for figure in verification.figures}
    assert verification.left_out[0] == (
        "8 of 24 texts whose neighbours count, and with them the figure: their answers are too wide to be kept"
    )


def test_a_file_for_a_pipeline_of_which_none_was_held_out_is_refused(server, repository, file):
    write_reference(repository / "fake/1", "feature-extraction", {"corpus": examination_of(CORPUS)})
    with pytest.raises(CertificateFailed, match="--calibration: the pipeline was exported without such a file"):
        verification_of(server, repository, file)


def test_a_length_that_gives_no_numbers_is_drift(server, repository):
    server.error = lambda text: np.nan if text == "a bit" else 0.0
    (complaint,) = verification_of(server, repository).complaints
    assert complaint == "nonfinite_lengths is 1, must be at most 0: NaN or infinity in the answer"


def test_a_length_that_the_pipeline_refuses_is_drift(server, repository):
    def fail(text):
        if text == "a":
            raise InferenceFailed("text 0: it holds NaN")
        return 0.0

    server.error = fail
    (complaint,) = verification_of(server, repository).complaints
    assert complaint.startswith("nonfinite_lengths is 1, must be at most 0: the pipeline fails at text 0 and says: ")


def test_a_length_that_gives_other_numbers_is_drift(server, repository):
    server.error = lambda text: np.arange(8) / 1000 if text == "a bit" else 0.0
    verification = verification_of(server, repository)
    assert verification.complaints[-1].startswith("length_max_abs_diff is ")
    assert all(each.endswith("; worst is text 1 of 5 tokens: 'a bit'") for each in verification.complaints)
    assert "length_cosine_min" in {figure.name for figure in verification.figures}


def test_a_length_whose_answer_was_too_wide_to_be_kept_must_give_numbers(server, repository, monkeypatch):
    monkeypatch.setattr("encserve_export.certificate.verification.reference_file._MOST_NUMBERS", 2 * 16)
    sections = {"corpus": examination_of(CORPUS), "lengths": examination_of(LENGTHS, texts_per_request=1)}
    write_reference(repository / "fake/1", "feature-extraction", sections)
    server.error = lambda text: np.nan if text == "a bit more" else 0.0
    verification = verification_of(server, repository)
    assert verification.complaints == ["nonfinite_lengths is 1, must be at most 0: NaN or infinity in the answer"]
    assert any(each.startswith("1 of 3 texts of all lengths, which were asked") for each in verification.left_out)


def test_held_out_texts_have_a_verdict_of_their_own(server, repository, file):
    held_out = own_texts(file, "text").held_out
    server.error = lambda text: np.arange(8) / 100 if text == held_out[3] else 0.0
    complaints = verification_of(server, repository, file).complaints
    assert complaints
    assert all(each.startswith("on the held-out texts of --calibration, ") for each in complaints)
    assert any("worst is text 3 of " in each for each in complaints)


def test_without_their_file_held_out_texts_are_left_out_and_it_says_so(server, repository):
    verification = verification_of(server, repository)
    assert not verification.drifted
    assert verification.left_out == [
        "20 held-out texts, which are not kept: --calibration FILE names the file that has them"
    ]
    assert not {*OWN} & {*server.asked}


def test_no_text_of_the_users_own_is_written_down(repository):
    with np.load(repository / "fake/1/reference.npz") as arrays:
        described = arrays["described"].tobytes().decode()
    assert "nobody" not in described
    assert "corpus text 3" in described


def test_another_file_is_refused(server, repository, file):
    file.write_text("\n".join(OWN[1:]))
    with pytest.raises(CertificateFailed, match="the file has other texts than the pipeline was made with"):
        verification_of(server, repository, file)


def test_the_command_says_what_it_asked(server, repository, file, monkeypatch, capsys):
    monkeypatch.setattr(verify_command, "GrpcTransport", lambda url, **access: transport_to(server, repository))
    parser = argparse.ArgumentParser()
    verify_command.add_arguments(parser)
    given = ["fake", f"--repository={repository}", f"--calibration={file}"]
    assert verify_command.run(parser.parse_args(given)) == 0
    lines = capsys.readouterr().out.split("\n")
    asked = "12 texts, some of them 8 times with options, 24 for their neighbours, 3 of all lengths, 20 held-out"
    assert lines[1] == f"  asked {asked} texts"
    assert "  on the held-out texts of --calibration" in lines
    assert verify_command.run(parser.parse_args([*given, "--json"])) == 0
    assert json.loads(capsys.readouterr().out)["held_out"]["max_abs_diff"]["texts"] == 20
