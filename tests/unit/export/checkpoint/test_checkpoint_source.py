"""Where a checkpoint comes from, and under which licence, as the manifest will say."""

import pytest

from encserve_export.checkpoint.source import licence_of, source_of
from encserve_export.config import ExportConfig

BODY = "# A model\n\nlicense: what this line says is no metadata\n"


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n" + BODY, "apache-2.0"),
        ('---\nlicense: "mit"\n---\n' + BODY, "mit"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("---\nlicense:\n- mit\n- cc0-1.0\n---\n" + BODY, "mit, cc0-1.0"),
        ("---\nlanguage: en\n---\n" + BODY, None),
        ("---\nlicense:\n---\n" + BODY, None),
        (BODY, None),
        ("---\nlicense: [\n---\n" + BODY, None),
        ("---\n- license\n---\n" + BODY, None),
    ],
    ids=["stated", "quoted", "lines of Windows", "several", "none", "empty", "no metadata", "no YAML", "a list"],
)
def test_the_licence_is_the_one_that_the_metadata_of_the_card_state(card, licence, tmp_path):
    (tmp_path / "README.md").write_bytes(card.encode())
    assert licence_of(tmp_path) == licence


def test_a_checkpoint_without_a_card_states_no_licence(tmp_path):
    assert licence_of(tmp_path) is None


def test_a_folder_is_not_called_by_a_name_that_looks_like_one_of_the_hub(tmp_path, monkeypatch):
    """A copy that somebody changed is not the checkpoint of that name."""
    (tmp_path / "organisation/name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert source_of(ExportConfig(checkpoint="organisation/name", name="x")) == "name"
    assert source_of(ExportConfig(checkpoint="organisation/another", name="x")) == "organisation/another"
    assert source_of(ExportConfig(checkpoint=str(tmp_path / "organisation"), name="x")) == "organisation"
