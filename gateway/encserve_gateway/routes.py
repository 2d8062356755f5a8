"""Dialects and their routes, and which route a request takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from encserve_gateway.bodies.fields import Fields
from encserve_gateway.config import GatewayConfig
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault, Kind, WrongMethod
from encserve_gateway.http.response import Response
from encserve_gateway.record import Words

Endpoint = Callable[[Exchange], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """What a dialect answers at one path."""

    method: str
    """GET or POST. Who may GET may ask with HEAD."""
    path: str
    """Such as "/v1/models/{model}": a name in braces stands for any text, slashes too."""
    endpoint: Endpoint
    """Answers; it may raise `Fault`."""
    when: Callable[[Fields], bool] | None = None
    """Which bodies it is for, where several dialects have the path; the first route that takes a body has it."""
    is_light: bool = False
    """Whether it is answered however much is in flight."""
    wants_key: Callable[[GatewayConfig], bool] = lambda config: True
    """Whether it is answered only to who has a key, where there are keys."""


@dataclass(frozen=True, kw_only=True)
class Dialect(Words):
    """What the clients of one interface say and expect."""

    routes: tuple[Route, ...]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The routes that a method and a path have, and what stands in the path."""

    routes: tuple[tuple[Dialect, Route], ...]
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def dialect(self) -> Dialect:
        """Whose words there are for what goes wrong before the body is known."""
        return self.routes[0][0]

    def of_body(self, fields: Fields) -> tuple[Dialect, Route]:
        """The route that takes a body; the last one where none says that it does."""
        for dialect, route in self.routes:
            if route.when is None or route.when(fields):
                return dialect, route
        return self.routes[-1]


class Router:
    """The table of all routes. `dialects` come in the order in which they are asked whether a body is theirs."""

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self.dialects = tuple(dialects)
        by_path: dict[str, dict[str, list[tuple[Dialect, Route]]]] = {}
        for dialect in self.dialects:
            for route in dialect.routes:
                by_path.setdefault(route.path, {}).setdefault(route.method, []).append((dialect, route))
        self._exact = {path: methods for path, methods in by_path.items() if "{" not in path}
        patterns = sorted((path for path in by_path if "{" in path), key=len, reverse=True)  # "/{model}/embed" first
        self._patterns = [(_pattern(path), by_path[path]) for path in patterns]
        self._choices = {
            (method, path): Choice(routes=tuple(routes))
            for path, methods in self._exact.items()
            for method, routes in methods.items()
        }

    @property
    def strangers(self) -> Dialect:
        """The dialect in which unknown paths are answered."""
        return self.dialects[0]

    def choose(self, method: str, path: str) -> Choice:
        """The routes of a request. Raises Fault: `UNKNOWN_ROUTE`, `WRONG_METHOD`."""
        method = "GET" if method == "HEAD" else method
        if (choice := self._choices.get((method, path))) is not None:
            return choice
        allowed: set[str] = set()
        for methods, parameters in self._matching(path):
            if method in methods:
                return Choice(routes=tuple(methods[method]), parameters=parameters)
            allowed.update(methods)
        if allowed:
            raise WrongMethod(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
        raise Fault(Kind.UNKNOWN_ROUTE, "there is no such route")

    def _matching(self, path: str) -> Iterable[tuple[Mapping[str, list[tuple[Dialect, Route]]], Mapping[str, str]]]:
        if path in self._exact:
            yield self._exact[path], {}
        for pattern, methods in self._patterns:
            if found := pattern.fullmatch(path):
                yield methods, found.groupdict()


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", path)
    names, literals = pieces[1::2], [re.escape(piece) for piece in pieces[::2]]
    rests = [f"(?P<{name}>.+){literal}" for name, literal in zip(names, literals[1:], strict=True)]
    return re.compile(literals[0] + "".join(rests))
