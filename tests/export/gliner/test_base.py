"""The encoder that a GLiNER checkpoint names: which revision of it is read, and who is told."""

from pathlib import Path

import pytest

from encserve_export.certificate.subject.asked import library_of
from encserve_export.checkpoint.gliner import base
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, InvalidConfig
from encserve_export.reference.networks.gliner import Gliner
from export.checkpoints.in_process import load
from export.small_checkpoints import make_checkpoint
from export.test_inspect import said

from .checkpoints import gliner

NAMED = "microsoft/deberta-v3-small"
NEWEST, OLDER = "a" * 40, "b" * 40


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folders of two commits of the encoder; downloads are noted."""
    commits = {commit: tmp_path / "snapshots" / commit for commit in (NEWEST, OLDER)}
    asked = []

    def download(name, *, revision, allow_patterns):
        asked.append((name, revision))
        assert "*.safetensors" not in allow_patterns, "the weights are the checkpoint's own"
        return str(commits[revision or NEWEST])

    monkeypatch.setattr(base, "snapshot_download", download)
    return commits, asked


@pytest.mark.parametrize(("revision", "commit"), [(None, NEWEST), (OLDER, OLDER)])
def test_the_base_is_read_at_one_commit_which_the_manifest_names(tmp_path, hub, revision, commit):
    commits, asked = hub
    folder = gliner(tmp_path / "checkpoint", base=commits[commit])
    checkpoint = load(folder, base_revision=revision)
    assert asked == [(NAMED, revision)]
    assert checkpoint.base.record == {"source": NAMED, "revision": commit}
    assert checkpoint.config.model_type == "deberta-v2"
    library = library_of(checkpoint, ExportConfig(checkpoint=str(folder), name="tiny"))
    assert library.base == commits[commit], "what it is compared with is of the same commit"
    assert Gliner(library.folder, library.base).network.token_rep_layer.bert_layer.model.config.hidden_size == 32


def test_only_what_is_missing_is_of_the_base(tmp_path, hub):
    commits, _ = hub
    folder = gliner(tmp_path / "checkpoint", base=commits[NEWEST])
    for file in commits[NEWEST].iterdir():
        if file.name != "config.json":
            file.rename(folder / file.name)
    checkpoint = load(folder)
    assert checkpoint.base.revision == NEWEST
    assert Path(checkpoint.folder) not in (folder, commits[NEWEST])


def test_a_checkpoint_with_all_of_its_encoder_has_none(tmp_path, hub):
    folder = gliner(tmp_path / "checkpoint")
    assert load(folder).base is None
    assert hub[1] == []
    with pytest.raises(InvalidConfig, match="has the configuration of its encoder and its tokenizer itself"):
        load(folder, base_revision=OLDER)


def test_a_folder_has_no_revisions(tmp_path):
    own = tmp_path / "encoder"
    folder = gliner(tmp_path / "checkpoint", base=own, model_name=str(own))
    record = load(folder).base.record
    assert record == {"source": "encoder", "revision": None, "files": record["files"]}, "and not where it lies"
    for name in ("config.json", "tokenizer.json"):
        file = own / name
        file.write_text(file.read_text() + "\n")
        changed = load(folder).base.record
        assert changed["files"] != record["files"], "its files may change, which nothing else says"
        record = changed
    (own / "README.md").write_text("# Of an encoder")
    assert load(folder).base.record == record
    with pytest.raises(InvalidConfig, match="is a local folder, which has no revisions"):
        load(folder, base_revision=OLDER)


def test_inspect_says_what_is_found_and_on_what(tmp_path, capsys):
    own = tmp_path / "encoder"
    found = said(capsys, gliner(tmp_path / "checkpoint", base=own, model_name=str(own), span_mode="token_level"))
    assert (found["base"]["source"], found["base"]["revision"]) == ("encoder", None)
    assert str(own) not in str(found)
    assert found["entities"] == "runs of words; 40 words of a text count"


def test_other_checkpoints_name_none(tmp_path):
    with pytest.raises(InvalidConfig, match="is no checkpoint of GLiNER"):
        load(make_checkpoint(tmp_path / "bert"), base_revision=OLDER)


@pytest.mark.parametrize("name", [NAMED, "no hub id at all"])
def test_a_base_that_the_hub_does_not_give(tmp_path, monkeypatch, name):
    def download(name, **named):
        raise OSError("no such repository\nand more")

    if name == NAMED:
        monkeypatch.setattr(base, "snapshot_download", download)
    folder = gliner(tmp_path / "checkpoint", base=tmp_path / "encoder", model_name=name)
    with pytest.raises(CheckpointError, match=f"names '{name}' as its encoder, and the hub does not give it"):
        load(folder)
