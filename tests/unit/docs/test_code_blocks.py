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
OURS = re.compile(r"\b(encserve|make) ")
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


@pytest.mark.parametrize("block", written_in("bash"), ids=str)
def test_commands_take_these_arguments(block, parser, capsys):
    ours = [line for line in block.code.replace("\\\n", " ").splitlines() if OURS.search(line)]
    for line in ours:
        for command in commands_of(line):
            if command[0] == "encserve":
                try:
                    parser.parse_args(command[1:])
                except SystemExit:
                    pytest.fail(f"{block}: {shlex.join(command)}: {capsys.readouterr().err}")
            if command[0] == "make":
                assert f"\n{command[1]}:" in (ROOT / "Makefile").read_text(), f"{block}: make {command[1]}"


def test_the_check_of_commands_finds_a_wrong_one(parser):
    (command,) = commands_of("ENCSERVE_API_KEY=x encserve embed --no-such-option < lines.txt")
    with pytest.raises(SystemExit):
        parser.parse_args(command[1:])


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
