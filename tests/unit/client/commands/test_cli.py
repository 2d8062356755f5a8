import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

import encserve
from encserve import Client, EncserveError, Tls
from encserve._cli import main
from encserve.testing import FakeTransport

PYPROJECT = Path(__file__).parents[4] / "pyproject.toml"

pytestmark = pytest.mark.usefixtures("commands")


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


def test_the_distribution_declares_its_commands(commands):
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]["encserve.commands"]
    assert declared.items() >= commands.items()


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
    assert "heavy needs not_installed_anywhere: pip install '.[heavy]' in a clone of encserve" in help_


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
    message = "encserve: error: heavy needs not_installed_anywhere: pip install '.[heavy]' in a clone of encserve\n"
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
