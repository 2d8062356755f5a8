"""What a page shows can be run: Python has the right names and types, and the commands have these arguments."""

import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import yaml

from encserve._cli import _parser

from .code_blocks import ALL, ROOT, written_in

LANGUAGES = {"bash", "python", "text", "json", "yaml", "ini", "{toctree}", "{eval-rst}"}
SEPARATORS = {"|", "||", "&&", ";", "&", "(", ")"}
OURS = re.compile(r"\b(encserve|make|pytest|docker compose) ")
BIN = ".venv/bin/"
REDIRECTIONS = {"<", ">", ">>"}


@pytest.fixture(scope="module")
def parser():
    """Of `encserve` with all its commands."""
    return _parser({entry.name: entry.load() for entry in entry_points(group="encserve.commands")})


def commands_of(line):
    """The commands of a line of a shell, each a list of words, without redirections and assignments."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    found = [[]]
    for word in words:
        if word in SEPARATORS:
            found.append([])
        elif word in REDIRECTIONS:
            next(words)
        elif found[-1] or "=" not in word:
            found[-1].append(word)
    return [command for command in found if command]


def test_a_block_says_what_it_is():
    assert {f"{block}: {block.language or 'nothing'}" for block in ALL if block.language not in LANGUAGES} == set()


def complaint_about(command, parser, capsys):
    """What is wrong with a command, a list of words; empty where nothing is, or where the program is none of ours."""
    program, *words = command
    match program.removeprefix(BIN):
        case "encserve":
            try:
                parser.parse_args(words)
            except SystemExit:
                return capsys.readouterr().err
        case "make" if f"\n{words[0]}:" not in (ROOT / "Makefile").read_text():
            return f"the Makefile has no {words[0]}"
        case "pytest":
            missing = [word for word in words if "/" in word and not (ROOT / word).exists()]
            return f"{missing} are not there" if missing else ""
        case "docker":
            return complaint_about_services(words, parser, capsys)
    return ""


def complaint_about_services(words, parser, capsys):
    """The same of `docker compose`: services are there, and the one that is run takes these arguments."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    verb = next(word for word in words if word in ("up", "run", "logs"))
    named = words[-1:] if verb == "logs" else [word for word in words[words.index(verb) + 1 :] if word != "--rm"]
    missing = set(named[:1] if verb == "run" else named) - services.keys()
    if missing:
        return f"docker-compose.yml has no {missing}"
    return complaint_about([*services[named[0]]["entrypoint"], *named[1:]], parser, capsys) if verb == "run" else ""


@pytest.mark.parametrize("block", written_in("bash"), ids=str)
def test_commands_take_these_arguments(block, parser, capsys):
    for line in block.code.replace("\\\n", " ").splitlines():
        for command in commands_of(line) if OURS.search(line) else []:
            complaint = complaint_about(command, parser, capsys)
            assert not complaint, f"{block}: {shlex.join(command)}: {complaint}"


@pytest.mark.parametrize(
    "line",
    [
        "ENCSERVE_API_KEY=x encserve embed --no-such-option < lines.txt",
        ".venv/bin/encserve no-such-command",
        "make no-such-verb",
        ".venv/bin/pytest -q tests/unit/no_such_test.py -k one",
        "docker compose run --rm export-plan CHECKPOINT --no-such-option",
        "docker compose run --rm no-such-service",
        "docker compose --profile monitoring up no-such-service",
    ],
)
def test_the_check_of_commands_finds_a_wrong_one(line, parser, capsys):
    (command,) = commands_of(line)
    assert complaint_about(command, parser, capsys)


@pytest.mark.parametrize("block", written_in("json", "yaml"), ids=str)
def test_data_can_be_read(block):
    json.loads(block.code) if block.language == "json" else yaml.safe_load(block.code)


def check_types(folder, *codes):
    """What `mypy --strict` says of programs, one a file."""
    files = [folder / f"block_{number}.py" for number in range(len(codes))]
    for file, code in zip(files, codes, strict=True):
        file.write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", *files]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_python_has_these_names_and_types(tmp_path):
    blocks = written_in("python")
    checked = check_types(tmp_path, *(block.code for block in blocks))
    names = "\n".join(f"block_{number}.py: {block}" for number, block in enumerate(blocks))
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}\n{names}"


def test_the_check_of_python_finds_a_wrong_keyword(tmp_path):
    wrong = 'from encserve import Client\n\nClient("localhost:8001").embed(["a"], model="minilm", dimension=4)\n'
    assert "dimension" in check_types(tmp_path, wrong).stdout
