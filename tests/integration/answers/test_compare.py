"""`encserve compare` with pipelines of a real server."""

import argparse

import pytest

from encserve import InvalidInput
from encserve_export.texts.parts import Part, corpus_of
from encserve_lifecycle.comparison import command


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "texts.txt"
    lines = [each.text.replace("\n", " ") for each in corpus_of(Part.CERTIFICATE).texts[:150]]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def compare(server, texts, tmp_path):
    """compare(old, new, ...): the exit code, and the page."""

    def run(old, new, *options):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        report = tmp_path / "compare.html"
        given = [old, new, "--texts", str(texts), "--url", server.grpc_url, "--report", str(report), *options]
        return command.run(parser.parse_args(given)), report.read_text(encoding="utf-8")

    return run


def test_a_pipeline_compared_with_itself_keeps_its_index(compare, capsys):
    code, page = compare("minilm", "minilm")
    said = capsys.readouterr().out
    assert code == 0
    assert "keep it" in said
    assert "95 % interval 97.6% to 100.0%" in said  # 150 of 150, by Clopper and Pearson
    assert "minilm (fp32), 384 x binary" in page


def test_a_prompt_moves_the_index(compare, capsys):
    code, page = compare("minilm", "prompted")
    said = capsys.readouterr().out
    assert code == 0
    assert "make it anew" in said
    assert "must not stand in one index" in page


def test_a_pipeline_that_is_not_there_is_named(compare):
    with pytest.raises(Exception, match="nowhere"):
        compare("minilm", "nowhere")


def test_a_report_that_cannot_be_written_is_said_before_anything_is_asked(compare):
    with pytest.raises(InvalidInput, match="cannot be written"):
        compare("minilm", "minilm", "--report", "/nowhere/compare.html")
