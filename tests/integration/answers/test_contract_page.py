"""The examples and the status codes of docs/contract.md, with the real server."""

import contextlib
import io
import json
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

PAGE = (Path(__file__).parents[3] / "docs" / "contract.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", PAGE, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
STATUS = dict(re.findall(r"^\| ([A-Z_]+) \| (\d{3}) \|", PAGE, re.MULTILINE))


def test_the_page_has_examples_and_codes():
    assert PYTHON
    assert SHELL
    assert STATUS["OK"] == "200"


@pytest.mark.parametrize(("code", "output"), PYTHON)
def test_python(code, output, server):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code.replace("localhost:8001", server.grpc_url), "contract.md", "exec"), {})
    assert printed.getvalue() == output


@pytest.mark.parametrize("code", SHELL)
def test_shell(code, server):
    code = code.replace("localhost:8000", server.http_url)
    done = subprocess.run(["bash", "-c", code], capture_output=True, check=True)
    outputs = {output["name"]: output for output in json.loads(done.stdout)["outputs"]}
    assert outputs["embedding"]["shape"] == [1, 2, 4]
    assert outputs["token_count"]["data"] == [10, 6]


def grpc_status(server, model, **options):
    text = triton.InferInput("text", [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([["a text"]], dtype=object))
    with (
        triton.InferenceServerClient(server.grpc_url) as client,
        pytest.raises(triton.InferenceServerException) as refused,
    ):
        client.infer(model, [text], parameters=options or None)
    return refused.value.status().removeprefix("StatusCode.")


def http_status(server, model, **options):
    body = {
        "parameters": options,
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["a text"]}],
    }
    request = urllib.request.Request(f"{server.http_url}/v2/models/{model}/infer", json.dumps(body).encode())
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as response:
        return str(response.code)


@pytest.mark.parametrize(
    ("status", "model", "options"),
    [
        ("INVALID_ARGUMENT", "minilm", {"dimensions": -1}),
        ("INVALID_ARGUMENT", "minilm", {"no_such_option": 1}),
        ("NOT_FOUND", "nobody", {}),
        ("CANCELLED", "minilm", {"cancel": "0123456789abcdef"}),
    ],
)
def test_status_codes(status, model, options, server):
    assert grpc_status(server, model, **options) == status
    assert http_status(server, model, **options) == STATUS[status]
