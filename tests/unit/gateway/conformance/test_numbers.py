"""Each of the 77 cases of the list has a test, here or where its subject is."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parents[2]

ELSEWHERE = {
    55: ("unit/gateway/dialects/test_client_packages.py", "test_cohere_version_1"),
    74: ("unit/gateway/test_spans.py", "test_a_caller_s_trace_goes_on_through_the_gateway_to_the_pipeline"),
}
"""Number -> the file and the test: of a client's package, and of what is sent to the pipeline."""


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
