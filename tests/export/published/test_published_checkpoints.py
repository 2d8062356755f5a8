"""What published checkpoints are served as: the page of the documentation is what loading them says."""

import transformers

from export.test_inspect import said

from .folders import PUBLISHED, write_folder
from .table import FILE, text


def test_the_page_is_what_loading_says(tmp_path, update_golden):
    transformers.utils.logging.set_verbosity_error()
    page = text(PUBLISHED, tmp_path)
    if update_golden:
        FILE.write_text(page, encoding="utf-8")
    assert page == FILE.read_text(encoding="utf-8"), (
        "other checkpoints are served than before; review, then run pytest --update-golden"
    )


def test_each_is_there_once_and_says_whether_it_was_seen():
    ids = [each["id"] for each in PUBLISHED]
    assert len(set(ids)) == len(ids) >= 80
    assert {each["seen"] for each in PUBLISHED} == {True, False}
    assert all(each["config"] or "modules" in each or "files" in each for each in PUBLISHED)


def test_inspect_says_of_a_folder_what_the_page_says(tmp_path, capsys):
    (published,) = (each for each in PUBLISHED if each["id"].endswith("/bge-large-en-v1.5"))
    found = said(capsys, write_folder(tmp_path / "bge", published), "--no-weights")
    row = next(line for line in FILE.read_text(encoding="utf-8").splitlines() if published["id"] in line)
    assert f"| {found['task']} | {found['family']} | {found['dimensions']}, {found['pooling']}, normalised |" in row
