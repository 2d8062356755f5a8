"""What the commands about certificates say of a pipeline that generates."""

import re
from dataclasses import replace

import numpy as np
import pytest

from encserve import InferenceFailed
from encserve.testing import FakeTransport, fake_pipeline
from encserve_export.certificate.limits import GENERATION_LIMITS
from encserve_export.certificate.verification.found_manifest import find_manifest
from encserve_export.certificate.verification.reference_file import read_reference
from encserve_export.commands.publishing import _report
from encserve_export.commands.verify_command import _as_text
from encserve_export.config import Precision
from encserve_export.errors import CertificateFailed
from encserve_export.generation.certificate.verify import verify_generation
from encserve_export.publication.siblings import published_of
from encserve_export.report.page import render_report
from encserve_export.texts.calibration_file import OwnTexts
from encserve_export.verify import verify
from encserve_repository.manifest import sha256_of


def test_the_report_has_its_figures(published):
    page = render_report(published_of(published, "t5", print))
    assert "<td>tokens_identical</td><td>1</td><td>at least 0.99</td><td>64</td>" in page
    assert "T5ForConditionalGeneration" in page
    assert "Error by text length" not in page
    assert "Difference of logits" in page
    assert "Leads of tokens, and where texts differ" in page
    assert "Told, and held to no limit; 4 beams" in page
    assert "other tokens than the library" not in page


def test_the_report_shows_where_texts_differ(published):
    (one,) = published_of(published, "t5", print)
    found = [
        {"text": 3, "token": 7, "margin": 0.0123, "ours": "\u2581ours", "library": "<b>"},
        {"text": 5, "token": 0, "margin": 0.3, "ours": "a", "library": "b"},
    ]
    changed = {**one.manifest, "parity": {**one.manifest["parity"], "differences": found}}
    page = render_report([replace(one, manifest=changed), replace(one, manifest={**one.manifest, "version": 2})])
    assert "2 of 64 texts with other tokens than the library" in page
    assert "<td>0.0123</td><td>&lt;b&gt;</td><td>\u2581ours</td>" in page
    assert page.count("text 5 after 0 tokens, 0.3") == 1


def test_a_version_of_an_earlier_release_is_in_no_figure_of_tokens(published):
    (one,) = published_of(published, "t5", print)
    parity = {name: value for name, value in one.manifest["parity"].items() if name not in ("margins", "differences")}
    page = render_report([one, replace(one, manifest={**one.manifest, "version": 0, "parity": parity})])
    assert "Difference of logits" in page


def test_what_is_published_is_said(published, manifest, capsys):
    _report(published, manifest)
    said = capsys.readouterr().out
    assert "text2text-generation in fp32 on python with onnxruntime" in said
    assert "tokens to choose from, 64 tokens a text" in said
    assert "company_identical      1            limit 1" in said


@pytest.fixture(scope="module")
def reference(published):
    """What the certificate keeps: all of its texts, by what was asked."""
    sections = read_reference(published / "t5" / "1" / "reference.npz").sections
    return {
        key_of(kept.asked.inputs["text"][0], kept.asked.options): (kept.answers[0], count)
        for section in sections.values()
        for kept, count in zip(section.kept, section.token_counts, strict=True)
    }


def key_of(text, options):
    return text, options["prompt_name"], options["num_beams"]


def server_that_says(reference, published, change=lambda number, text, count: (text, count)):
    """A server with the pipeline, whose answers are the certified ones but for what `change` makes of them."""
    numbers = {key: number for number, key in enumerate(reference)}

    def answer(request):
        assert request.parameters["lane"] == "bulk"
        key = key_of(request.inputs["text"][0].decode(), request.parameters)
        (_, _, ours), count = reference[key]
        text, count = change(numbers[key], ours.keys[0], count)
        return {
            "text_output": np.array([[text.encode()]], object),
            "token_count": np.array([[count]], np.int32),
        }

    return FakeTransport(answer, pipelines=[pipeline_of(published)])


def pipeline_of(published):
    digest = sha256_of(published / "t5" / "1" / "manifest.json")
    return fake_pipeline(name="t5", task="text2text-generation", certificate=digest)


def verified(reference, published, **how):
    return verify(server_that_says(reference, published, **how), "t5", published, timeout_s=5)


def test_a_server_that_says_what_was_certified_has_not_drifted(reference, published):
    found = verified(reference, published)
    assert not found.drifted
    assert found.asked == {"corpus": 64, "beams": 16, "alone": 20}
    measured = {figure.name: figure.measured for figure in found.figures}
    assert measured == {
        "texts_identical": 1,
        "texts_as_certified": 1,
        "tie_margin": 0,
        "beams_identical": 1,
        "beams_as_certified": 1,
        "company_identical": 1,
    }
    shown = _as_text(found)
    assert "asked 64 texts, 16 of them with beams, 20 once more alone" in shown
    assert "left out logits_max_diff" in shown


def test_other_texts_are_a_drift_that_names_the_worst(reference, published):
    changed = (9, 10, 11)  # one alone may be a tie
    found = verified(reference, published, change=lambda number, text, count: (text + "!" * (number in changed), count))
    assert found.drifted
    assert [complaint.split(" is ")[0] for complaint in found.complaints] == [
        "texts_identical",
        "texts_as_certified",
        "tie_margin",
    ]
    assert re.search(r"worst is text (9|10|11) of", found.complaints[-1])


def test_one_other_text_is_a_drift_where_its_tokens_were_no_tie(reference, published):
    complaints = verified(
        reference, published, change=lambda number, text, count: (text + "!" * (number == 9), count)
    ).complaints
    assert [complaint.partition(" is ")[0] for complaint in complaints] == ["texts_identical", "tie_margin"]
    assert "worst is text 9 of" in complaints[1]


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
@pytest.mark.parametrize(("changed", "missed"), [({1, 2}, "texts_as_certified"), ({64}, "beams_as_certified")])
def test_texts_that_the_certified_step_did_not_make_are_a_drift(reference, published, precision, changed, missed):
    served = pipeline_of(published)
    found = find_manifest(published, served)
    limits = vars(GENERATION_LIMITS[precision])
    figures = {name: {"measured": 1.0, "limit": limit} for name, limit in limits.items()}
    found = replace(found, stated={**found.stated, "parity": {**found.stated["parity"], "figures": figures}})
    server = server_that_says(
        reference, published, lambda number, text, count: (text + "!" * (number in changed), count)
    )
    figures = {figure.name: figure for figure in verify_generation(server, served, found, 5).figures}
    assert not figures[missed].holds
    assert figures["beams_identical"].holds


def test_beams_that_the_certificate_took_as_as_good_are_no_drift(reference, published, monkeypatch):
    stored = read_reference(published / "t5" / "1" / "reference.npz")
    beams = stored.sections["beams"]
    keys, library, ours = beams.kept[0].answers[0]
    as_good = [(keys, replace(library, keys=("another hypothesis",)), ours)]
    other = replace(beams, kept=[replace(beams.kept[0], answers=as_good), *beams.kept[1:]])
    changed = replace(stored, sections={**stored.sections, "beams": other})
    monkeypatch.setattr("encserve_export.generation.certificate.verify.read_reference", lambda file: changed)
    found = verified(reference, published)
    assert not found.drifted
    measured = {figure.name: figure.measured for figure in found.figures}
    assert (measured["beams_identical"], measured["beams_as_certified"]) == (15 / 16, 1)


def test_a_text_that_is_another_beside_others_is_a_drift(reference, published):
    asked = set()

    def change(number, text, count):
        again = number in asked
        asked.add(number)
        return text + "!" * (again and number == 8), count

    (complaint,) = verified(reference, published, change=change).complaints
    assert complaint == "company_identical is 0.95, must be at least 1"


def test_other_tokens_of_a_source_are_a_drift(reference, published):
    (complaint,) = verified(
        reference, published, change=lambda number, text, count: (text, count + (number > 70))
    ).complaints
    assert complaint.startswith("text 71 has ")
    assert complaint.endswith("9 texts have others")


def test_a_text_that_fails_is_a_drift(reference, published):
    server = server_that_says(reference, published)
    genuine = server.infer

    def infer(request, *, timeout_s):
        if request.inputs["text"][0] == b"":
            raise InferenceFailed("out of order")
        return genuine(request, timeout_s=timeout_s)

    server.infer = infer
    found = verify(server, "t5", published, timeout_s=5)
    assert found.complaints[0] == "the pipeline fails at 2 texts, first at text 0, and says: out of order"


def test_no_texts_are_held_out(reference, published):
    own = OwnTexts(kept=["a"], held_out=["b"], repeated=0, apart="")
    with pytest.raises(CertificateFailed, match="--calibration: t5 is for text2text-generation, of which no texts are"):
        verify(server_that_says(reference, published), "t5", published, timeout_s=5, own=own)
