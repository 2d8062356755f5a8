"""`encserve verify` against servers that answer rightly, otherwise, with NaN, or not at all."""

import numpy as np
import pytest
import served_vectors
from served_vectors import (
    TEXTS,
    WIDTH,
    Server,
    served,
    tokens_of,
    vector_of,
    verification_of,
    write_vectors,
)

from encserve import InferenceFailed, Unavailable
from encserve_export.errors import CertificateFailed
from encserve_export.verify import verify


def test_a_server_that_answers_as_certified_has_not_drifted(folder, server):
    verification = verification_of(folder, server)
    assert not verification.drifted
    figures = {figure.name: figure.measured for figure in verification.figures}
    assert figures["cosine_min"] == pytest.approx(1)
    assert (figures["max_abs_diff"], figures["answers_max_abs_diff"], figures["company_max_abs_diff"]) == (0, 0, 0)


def test_every_request_makes_way_for_others_and_wants_what_is_computed_now(folder, server):
    verification_of(folder, server)
    assert {request.model for request in server.requests} == {"fake"}
    assert all(request.parameters == {"lane": "bulk", "fresh": True} for request in server.requests)


def test_another_number_is_found_with_the_text_it_is_worst_for(folder, server):
    longest = max(range(len(TEXTS)), key=lambda number: len(tokens_of(TEXTS[number])))
    server.error = lambda text: 0.01 if text == TEXTS[longest] else 0
    (complaint,) = [each for each in verification_of(folder, server).complaints if each.startswith("max_abs_diff")]
    assert f"must be at most 0.0001; worst is text {longest} of 64 tokens: '" in complaint


def test_values_count_and_not_whether_they_are_finite(folder, server):
    """The same direction, so that every cosine is 1; another length."""
    server.error = lambda text: vector_of(text)
    verification = verification_of(folder, server)
    assert {figure.name for figure in verification.figures if not figure.holds} == {"answers_max_abs_diff"}


def test_the_limits_are_those_of_the_manifest(folder, server):
    server.error = lambda text: 1e-6
    manifest = folder / "fake/1/manifest.json"
    manifest.write_text(manifest.read_text().replace("0.0001", "1e-12"))
    assert any("must be at most 1e-12" in each for each in verification_of(folder, server).complaints)


def test_neighbours_that_matter_are_found(folder):
    class Leaking(Server):
        def __call__(self, request):
            tensors = super().__call__(request)
            tensors["embedding"] += np.linspace(0, 1e-4, WIDTH) * (len(request.inputs["text"]) > 1)
            return tensors

    assert any(each.startswith("company_max_abs_diff") for each in verification_of(folder, Leaking()).complaints)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_found(value, folder, server):
    server.error = lambda text: value if len(text) > 40 else 0
    assert any(each.startswith("answers_max_abs_diff") for each in verification_of(folder, server).complaints)


def test_a_text_that_the_pipeline_refuses_is_named_and_the_others_are_compared(folder, server):
    def refuse(text):
        if text == TEXTS[7]:
            raise InferenceFailed("it holds NaN")
        return 0.0

    server.error = refuse
    verification = verification_of(folder, server)
    assert verification.complaints == ["the pipeline fails at text 7 and says: it holds NaN"]
    assert {figure.name for figure in verification.figures} >= {"max_abs_diff", "cosine_min"}


def test_other_tokens_are_found_and_no_number_is_claimed_for_them(folder, server, monkeypatch):
    monkeypatch.setattr(served_vectors, "tokens_of", lambda text: [1, 1, *(2 + byte for byte in text.encode()[:62]), 0])
    verification = verification_of(folder, server)
    assert verification.figures == []
    assert verification.complaints[0] == "the tokenize step gives other tokens than the library, from text 0 on"


def test_another_certificate_is_drift(folder, server):
    (complaint,) = verification_of(folder, server, certificate="f" * 64).complaints
    assert "the server runs another export" in complaint


def test_a_reference_that_was_changed_is_found(folder, server):
    file = folder / "fake/1/reference.npz"
    write_vectors(file.parent, change=lambda vector: vector + 1)
    assert "reference.npz is not the certified file" in verification_of(folder, server).complaints[0]


def test_a_repository_without_the_pipeline_is_named(folder, server, tmp_path):
    with pytest.raises(CertificateFailed, match=r"elsewhere/fake holds no manifest\.json"):
        verify(served(folder, server), "fake", tmp_path / "elsewhere", timeout_s=5)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_manifest_that_is_none_is_named(text, folder, server):
    transport = served(folder, server)
    (folder / "fake/1/manifest.json").write_text(text)
    with pytest.raises(CertificateFailed, match=r"1/manifest\.json is no manifest: "):
        verify(transport, "fake", folder, timeout_s=5)


def test_a_server_that_is_down_is_no_drift(folder):
    def down(request):
        raise Unavailable("no connection")

    with pytest.raises(Unavailable):
        verification_of(folder, down)
