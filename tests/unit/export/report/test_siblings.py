"""What a report is about, in a repository in which there are also versions that this release cannot read."""

import argparse
import json
import shutil

import pytest
from toy_versions import write_version

from encserve_export.commands import report_command
from encserve_export.errors import ExportError
from encserve_export.publication.siblings import published_of


@pytest.fixture
def repository(tmp_path):
    """`minilm` in two versions, and the newest of `other` from the same checkpoint."""
    for name in ("minilm", "minilm", "other"):
        write_version(tmp_path / "models", name)
    return tmp_path / "models"


def titles(repository, said):
    return [each.title.partition(":")[0] for each in published_of(repository, "minilm", said.append)]


def make_older(repository, name, version):
    """As a release before wrote it: without a field that manifests have now."""
    file = repository / name / str(version) / "manifest.json"
    stated = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in stated.items() if key != "requirements"}))


def test_all_versions_of_it_and_the_newest_of_others_with_its_checkpoint(repository):
    said = []
    assert titles(repository, said) == ["minilm 2", "minilm 1", "other 1"]
    assert said == []


def test_what_cannot_be_read_of_others_and_of_older_versions_is_passed_over_and_named(repository):
    make_older(repository, "minilm", 1)
    make_older(repository, "other", 1)
    (repository / "foreign/1").mkdir(parents=True)
    (repository / "foreign/1/manifest.json").write_text("{}")
    (repository / "elsewhere/notes").mkdir(parents=True)
    (repository / "elsewhere/notes/manifest.json").write_text("{}")
    said = []
    assert titles(repository, said) == ["minilm 2"]
    assert [line.partition(" is passed over: ")[0] for line in said] == [
        "minilm version 1",
        "foreign version 1",
        "other version 1",
    ]
    assert "lacks requirements" in said[0]


def test_a_sibling_whose_network_is_gone_is_passed_over(repository):
    shutil.rmtree(repository / "other_encode/1")
    said = []
    assert titles(repository, said) == ["minilm 2", "minilm 1"]
    assert said == [f"other version 1 is passed over: {repository / 'other_encode/1'} is missing"]


def test_a_newest_version_that_cannot_be_read_ends_the_report(repository):
    make_older(repository, "minilm", 2)
    with pytest.raises(ExportError, match="lacks requirements"):
        titles(repository, [])


def test_the_command_warns(repository, monkeypatch, capsys, tmp_path):
    make_older(repository, "other", 1)
    monkeypatch.setattr("encserve_export.report.page.render_report", lambda siblings: "a page")
    page = tmp_path / "page.html"
    arguments = argparse.Namespace(name="minilm", repository=repository, output=page)
    assert report_command.run(arguments) == 0
    assert page.read_text() == "a page"
    assert "warning: other version 1 is passed over: " in capsys.readouterr().err
