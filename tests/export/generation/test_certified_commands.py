"""What the commands about certificates say of a pipeline that generates."""

import pytest

from encserve.testing import FakeTransport, fake_pipeline
from encserve_export.certificate.verification.verify import verify
from encserve_export.commands.publishing import _report
from encserve_export.errors import Unsupported
from encserve_export.publication.siblings import published_of
from encserve_export.report.page import render_report


def test_the_report_has_its_figures(published):
    page = render_report(published_of(published, "t5", print))
    assert "<td>tokens_identical</td><td>1</td><td>at least 0.99</td><td>64</td>" in page
    assert "T5ForConditionalGeneration" in page
    assert "Error by text length" not in page


def test_what_is_published_is_said(published, manifest, capsys):
    _report(published, manifest)
    said = capsys.readouterr().out
    assert "text2text-generation in fp32 on python with onnxruntime" in said
    assert "tokens to choose from, 64 tokens a text" in said
    assert "company_identical      1            limit 1" in said


def test_verify_refuses_it_by_name(published):
    transport = FakeTransport(lambda request: {}, pipelines=[fake_pipeline(task="text2text-generation")])
    with pytest.raises(Unsupported, match="fake is for text2text-generation, which verify does not ask yet"):
        verify(transport, "fake", published, timeout_s=1)
