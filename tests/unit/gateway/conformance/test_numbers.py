"""Each of the 77 cases of the list has a test: here, or with real clients and servers."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parents[2]

ELSEWHERE = {
    55: ("unit/gateway/dialects/test_client_packages.py", "test_cohere_version_1"),
    74: ("integration/life/test_gateway_traces.py", "test_sampled_traces_of_callers_reach_triton_and_no_others"),
}
"""Number -> the file and the test: a client's package, and a server that is started for it."""


ROW = re.compile(r"\b(?:case|Case|embed|ranked|rerank|pipeline)\((\d+),")
"""How a row of a table begins, and what makes the rows of some."""

NAME = re.compile(r"def test_(case_\w+)")


def numbers_in(file):
    text = file.read_text()
    named = [number for name in NAME.findall(text) for number in re.findall(r"(?<=_)\d\d(?=_)", name)]
    return set(map(int, [*ROW.findall(text), *named])) - {0}


def test_none_of_the_77_is_left_out():
    found = {file.name: numbers_in(file) for file in HERE.glob("test_*_cases.py")}
    assert set.union(*found.values(), ELSEWHERE) == set(range(1, 78))


def test_those_elsewhere_are_there():
    for path, name in ELSEWHERE.values():
        assert f"def {name}(" in (TESTS / path).read_text()
