"""The step without Triton of docs/development.md, run on the pipeline that these tests have."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[3] / "docs" / "development.md"


def test_the_encoder_runs_as_the_page_shows_it(repository, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "model_repository").symlink_to(repository)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "docs/development.md", "exec"), names)
    (values,) = names["rows"].values()
    assert (values.shape, values.dtype) == ((1, 384), np.float32)
    assert str(names["rows"]) in capsys.readouterr().out
