"""What the pages for newcomers promise to have, and to need."""

import json
import re
from importlib.metadata import entry_points
from pathlib import Path

from .code_blocks import ROOT, blocks_of


def test_the_table_of_commands_has_each_once():
    _, _, table = (ROOT / "docs/index.md").read_text(encoding="utf-8").partition("## Commands")
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")]
    listed = [name for row in rows for name in re.findall(r"`([a-z-]+)`", row[2])]
    assert sorted(listed) == sorted(each.name for each in entry_points(group="encserve.commands"))


def test_what_a_user_is_shown_needs_no_secret_of_the_operator():
    """Listing does, and another host has no file to take the secret from."""
    shown = " ".join(block.code for block in blocks_of(Path("docs/first_hour/user.md")))
    assert "client.pipeline(" in shown
    assert not re.search(r"encserve models|\.models\(", shown)


def test_an_operator_hears_of_each_dashboard():
    folder = ROOT / "deploy/monitoring/grafana/dashboards"
    titles = [json.loads(each.read_text())["title"].removeprefix("encserve: ") for each in folder.glob("*.json")]
    page = (ROOT / "docs/first_hour/operator.md").read_text(encoding="utf-8")
    assert [title for title in titles if f"*{title}*" not in page] == []
    assert f"{({4: 'four', 5: 'five', 6: 'six'})[len(titles)]} dashboards" in page
