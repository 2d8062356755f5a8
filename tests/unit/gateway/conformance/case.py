"""A case of the conformance list: what one request must be answered. Lists of such, by dialect, are its tables.

The numbers are those of the list that was made from the tests of TEI, Infinity and vLLM, from what clients send, and
from what went wrong with each; `test_numbers.py` holds that none is left out.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unit.gateway.asgi import ask

LONG = " ".join(f"word{number}" for number in range(20))
"""A text of 22 tokens, 14 more than the pipelines of the tests read."""

JSON = {"content-type": "application/json"}

KEY = "a-key-of-forty-characters-which-is-random"


@dataclass(frozen=True)
class Case:
    """One request and its answer."""

    number: int
    what: str
    path: str
    body: Any = None
    """As JSON; bytes as they are; None for a GET."""
    status: int = 200
    has: Any = None
    """What the answer has, as `contains` compares it."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """Headers of the answer; a value, or what it must be true of."""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    gateway: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `Fake`."""

    def __str__(self) -> str:
        return f"{self.number:02} {self.what}"

    async def check(self, fake) -> None:
        """Ask, and compare."""
        app = fake(**self.gateway).gateway
        method = self.method or ("GET" if self.body is None else "POST")
        headers = (JSON if method == "POST" and "content-type" not in self.headers else {}) | dict(self.headers)
        headers = {name: value for name, value in headers.items() if value}
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        answered = await ask(app, method, self.path, body=b"" if self.body is None else body, headers=headers)
        assert answered.status == self.status, answered.body
        if self.has is not None:
            contains(answered.json, self.has)
        for name, value in self.told.items():
            contains(answered.headers.get(name), value, name)


def contains(found: Any, expected: Any, where: str = "answer") -> None:
    """Assert that a value has what is expected: of an object the fields that are named, of a list as many items, and
    what a function says, where there is one."""
    if isinstance(expected, Callable):
        assert expected(found), (where, found)
    elif isinstance(expected, Mapping):
        for name, value in expected.items():
            assert name in found, (where, name, found)
            contains(found[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), (where, found)
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            contains(one, other, f"{where}[{index}]")
    else:
        assert found == expected, (where, found)


def close_to(expected: float):
    """A number, but for the last digits of float32."""
    return lambda found: abs(found - expected) < 1e-6


def without(*names: str):
    """An object that has none of these fields."""
    return lambda found: not set(names) & found.keys()


def vectors(*rows):
    """Lists of numbers that are these float32 rows."""
    import numpy as np

    return lambda found: np.array_equal(np.array(found, np.float32), np.array(rows, np.float32))


def invalid(param: str | None, *words: str, code: str | None = None):
    """An error of OpenAI's, exactly, about a field, with these words in its message."""
    return {
        "error": lambda error: (
            error.keys() == {"message", "type", "param", "code"}
            and (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
            and all(word in error["message"] for word in words)
        )
    }


def tei(kind: str, *words: str):
    """An error of TEI's, exactly, with these words."""
    return lambda found: (
        found.keys() == {"error", "error_type"}
        and found["error_type"] == kind
        and all(word in found["error"] for word in words)
    )
