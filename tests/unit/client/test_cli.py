import io
import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import tomllib

import encserve
from encserve import Client, EncserveError, Tls
from encserve._cli import main
from encserve.testing import FakeTransport, fake_pipeline

COMMANDS = {
    "answer": "encserve._commands.answer",
    "classify": "encserve._commands.classify",
    "classify-tokens": "encserve._commands.classify_tokens",
    "embed": "encserve._commands.embed",
    "fill-mask": "encserve._commands.fill_mask",
    "models": "encserve._commands.models",
    "rerank": "encserve._commands.rerank",
}
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


@pytest.fixture(autouse=True)
def commands(monkeypatch):
    """The commands that a test finds: name -> module. A test may add to them."""
    found = dict(COMMANDS)
    monkeypatch.setattr(
        "encserve._cli.entry_points",
        lambda group: [EntryPoint(name, module, group) for name, module in found.items()],
    )
    return found


@pytest.fixture
def served(monkeypatch, model):
    """What the commands find at any address: a list of pipelines. A test may change it."""
    pipelines = [fake_pipeline()]

    def connect(url, **_):
        return Client(url, texts_per_request=2, transport=FakeTransport(model, pipelines=pipelines))

    monkeypatch.setattr("encserve._commands.server_arguments.Client", connect)
    return pipelines


@pytest.fixture
def stdin(monkeypatch):
    def feed(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return feed


@pytest.fixture
def command_module(tmp_path, monkeypatch):
    """Write the source of a command's module; returns nothing, the module can then be found by name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write


def exits(*argv):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    return caught.value.code


def test_the_distribution_declares_its_commands():
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]["encserve.commands"]
    assert declared.items() >= COMMANDS.items()


def test_version(capsys):
    assert exits("--version") == 0
    assert capsys.readouterr().out == f"encserve {encserve.__version__}\n"


@pytest.mark.parametrize("argv", [["--help"], []])
def test_help_lists_all_commands(argv, capsys, commands, command_module):
    command_module("encserve_heavy", "import not_installed_anywhere")
    commands["heavy"] = "encserve_heavy"
    assert exits(*argv) == 0
    help_ = " ".join(capsys.readouterr().out.split())
    assert "models list the pipelines of a server" in help_
    assert "heavy needs not_installed_anywhere: pip install 'encserve[heavy]'" in help_


def test_mistakes(capsys):
    assert exits("frobnicate") == 2
    assert "invalid choice: 'frobnicate'" in capsys.readouterr().err


def test_only_the_chosen_command_is_loaded(commands, served, command_module):
    command_module("encserve_bomb", "raise RuntimeError('loaded')")
    commands["bomb"] = "encserve_bomb"
    assert main(["models"]) == 0


@pytest.mark.parametrize(
    "source",
    [
        "import not_installed_anywhere",
        "SUMMARY = ''\ndef add_arguments(parser): pass\ndef run(arguments): import not_installed_anywhere",
    ],
)
def test_a_missing_extra(source, capsys, commands, command_module):
    command_module("encserve_heavy", source)
    commands["heavy"] = "encserve_heavy"
    assert main(["heavy"]) == 1
    message = "encserve: error: heavy needs not_installed_anywhere: pip install 'encserve[heavy]'\n"
    assert capsys.readouterr().err == message


def test_a_missing_module_of_our_own_is_a_bug(commands):
    commands["lost"] = "encserve_nowhere.command"
    with pytest.raises(ModuleNotFoundError):
        main(["lost"])


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (EncserveError("went wrong"), 1, "encserve: error: went wrong\n"),
        (encserve.InvalidInput("bad flag"), 2, "encserve: error: bad flag\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes(error, code, message, capsys, monkeypatch):
    def run(arguments):
        raise error

    monkeypatch.setattr("encserve._commands.models.run", run)
    assert main(["models"]) == code
    assert capsys.readouterr().err == message


@pytest.mark.usefixtures("served")
class TestEmbed:
    def test_texts(self, capsys):
        assert main(["embed", "--model", "fake", "a", "bb", "c" * 300]) == 0
        captured = capsys.readouterr()
        lines = [json.loads(line) for line in captured.out.splitlines()]
        assert lines[1] == {"index": 1, "token_count": 2, "dropped_count": 0, "vector": [2.0, 2.0, 2.0]}
        assert [line["index"] for line in lines] == [0, 1, 2]
        assert captured.err == "encserve: 1 of 3 texts were too long: 44 tokens were cut\n"

    def test_stdin(self, capsys, stdin):
        stdin("one\nzwölf\r\n\n  spaced  \nlast\r".encode())
        assert main(["embed", "--model", "fake", "-"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["token_count"] for line in lines] == [3, 6, 0, 10, 4]

    @pytest.mark.parametrize(("argv", "content"), [([], b""), (["-"], b"")])
    def test_no_text(self, argv, content, capsys, stdin):
        stdin(content)
        assert main(["embed", "--model", "fake", *argv]) == 2
        assert "encserve: error: no text" in capsys.readouterr().err

    def test_bad_utf8(self, capsys, stdin):
        stdin(b"good\nba\xffd\n")
        assert main(["embed", "--model", "fake", "-"]) == 2
        assert "line 2 of standard input is not UTF-8 at byte 3" in capsys.readouterr().err

    def test_options(self, model):
        argv = ["--prompt-name", "query", "--truncate", "start", "--dimensions", "2", "--no-normalize"]
        assert main(["embed", "--model", "fake", *argv, "a"]) == 0
        expected = {"prompt_name": "query", "truncate": "start", "dimensions": 2, "normalize": False}
        assert model.requests[0].parameters == expected

    def test_file(self, tmp_path, capsys):
        path = tmp_path / "vectors.npy"
        path.write_bytes(b"an earlier file")
        assert main(["embed", "--model", "fake", "--output", str(path), "a", "bb", "ccc"]) == 0
        vectors = np.load(path)
        assert vectors.dtype == np.float32
        assert vectors.tolist() == [[1] * 3, [2] * 3, [3] * 3]
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err == f"encserve: 3 vectors of 3 numbers by fake version 1 in {path}\n"
        assert list(tmp_path.iterdir()) == [path]

    def test_file_that_cannot_be_written(self, tmp_path, capsys, model):
        assert main(["embed", "--model", "fake", "--output", str(tmp_path / "nowhere" / "a.npy"), "a"]) == 2
        assert "there is no folder" in capsys.readouterr().err
        assert not model.requests
        assert main(["embed", "--model", "fake", "--output", str(tmp_path), "a"]) == 2
        assert f"cannot write {tmp_path}" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


class TestModels:
    def test_table(self, capsys, served):
        served.append(fake_pipeline(name="a-longer-name", dimensions=1024, precision="fp16"))
        assert main(["models"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "NAME           VERSION  TASK                PRECISION  ENGINE   DIM  MAX_LENGTH  TEXTS/REQ  TOKENS/REQ"
            "  BYTES/TEXT",
            "fake           1        feature-extraction  fp32       python     3         256         64       16384"
            "       65536",
            "a-longer-name  1        feature-extraction  fp16       python  1024         256         64       16384"
            "       65536",
        ]

    def test_json(self, capsys, served):
        assert main(["models", "--json"]) == 0
        (pipeline,) = json.loads(capsys.readouterr().out)
        assert (pipeline["name"], pipeline["certificate"]) == ("fake", "0" * 64)

    def test_none(self, capsys, served):
        served.clear()
        assert main(["models", "--url", "host:1"]) == 0
        assert capsys.readouterr().out == "host:1 serves no encserve pipeline\n"


def test_broken_pipe_is_quiet(tmp_path):
    (tmp_path / "chatter.py").write_text(
        "import sys\n"
        "SUMMARY = ''\n"
        "def add_arguments(parser): pass\n"
        "def run(arguments):\n"
        "    for _ in range(100_000): print('a line')\n"
        "    return 0\n"
    )
    program = (
        "import sys; from importlib.metadata import EntryPoint; from encserve import _cli\n"
        "_cli.entry_points = lambda group: [EntryPoint('chatter', 'chatter', group)]\n"
        "sys.exit(_cli.main(['chatter']))\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    )
    with child:
        assert child.stdout.readline() == b"a line\n"
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 141


def test_what_a_command_shows_to_be_let_in(monkeypatch, authority):
    shown = []

    def connect(url, *, tls, api_key, admin_secret, **_):
        shown.append((url, tls, api_key, admin_secret))
        return Client(transport=FakeTransport(lambda request: {}))

    monkeypatch.setattr("encserve._commands.server_arguments.Client", connect)
    monkeypatch.delenv("ENCSERVE_API_KEY", raising=False)
    monkeypatch.delenv("ENCSERVE_ADMIN_SECRET", raising=False)
    assert main(["models"]) == 0
    monkeypatch.setenv("ENCSERVE_API_KEY", "a-key")
    monkeypatch.setenv("ENCSERVE_ADMIN_SECRET", "a-secret")
    assert main(["models", "--url=far:1", "--tls"]) == 0
    ours = authority.issue("client")
    files = [f"--tls-ca={authority.cert}", f"--tls-cert={ours.cert}", f"--tls-key={ours.key}"]
    assert main(["models", *files]) == 0
    assert shown == [
        ("localhost:8001", None, None, None),
        ("far:1", Tls(), "a-key", "a-secret"),
        ("localhost:8001", Tls(ca_file=authority.cert, cert_file=ours.cert, key_file=ours.key), "a-key", "a-secret"),
    ]
