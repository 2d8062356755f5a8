"""The site: every link leads somewhere, and so does every anchor."""

import shutil
import subprocess
import sys

import pytest

import encserve

from .code_blocks import ROOT


def build(source, built):
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-c", "docs"]
    return subprocess.run([*command, ".", built], cwd=source, capture_output=True, text=True, check=False)


@pytest.fixture
def small_site(tmp_path):
    """Two pages, and what the site is built with; one leads to a heading of the other."""
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "conf.py", tmp_path / "docs")
    shutil.copytree(ROOT / "docs" / "site_root", tmp_path / "docs" / "site_root")
    (tmp_path / "docs" / "index.md").write_text(
        "# A page\n\n[a heading](other.md#a-heading)\n\n```{toctree}\nother\n```\n"
    )
    (tmp_path / "docs" / "other.md").write_text("# Another\n\n## A heading\n\nIts text.\n")
    return tmp_path


def test_every_page_is_built_without_a_warning(tmp_path):
    built = build(ROOT, tmp_path)
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "docs" / "reference" / "client.html").read_text()
    public = {name for name in encserve.__all__ if not name.startswith("__")}
    assert {name for name in public if f'id="encserve.{name}"' not in reference} == set()
    assert 'id="encserve.Client.embed"' in reference


def test_a_link_and_an_anchor_that_lead_nowhere_are_found(small_site):
    assert build(small_site, small_site / "built").returncode == 0
    with (small_site / "docs" / "other.md").open("a") as page:
        page.write("\n[one](nowhere.md) [two](index.md#no-such-heading)\n")
    said = build(small_site, small_site / "built")
    assert said.returncode != 0
    assert "nowhere.md" in said.stderr
    assert "no-such-heading" in said.stderr
