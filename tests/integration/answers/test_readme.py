"""The README's code, run against the real server; what it prints must be what the README shows."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from serving import serve_config

from encserve_server.launcher.server import TritonServer

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", README, re.DOTALL)
SHELL = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if "encserve embed" in line or "encserve models" in line
]


@pytest.fixture(scope="module")
def repository(whole_minilm):
    """What the README exports."""
    return whole_minilm


@pytest.fixture(scope="module")
def server(repository):
    with TritonServer(serve_config(repository)) as running:
        yield running


def test_the_readme_has_code_to_run():
    assert len(PYTHON) == README.count("```python")
    assert len(SHELL) >= 3


@pytest.mark.parametrize(("code", "output"), PYTHON)
def test_python(code, output, server, repository):
    code = code.replace("localhost:8001", server.grpc_url).replace('"model_repository"', repr(str(repository)))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue() == output


@pytest.mark.parametrize("line", SHELL)
def test_shell(line, server, tmp_path):
    line = re.sub(r"encserve (embed|models)", rf"encserve \1 --url {server.grpc_url}", line)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
