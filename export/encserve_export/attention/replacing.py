"""Replacing methods of a network for a while, on the instances and not on their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

Replacement = tuple[nn.Module, str, Callable[..., Any]]
"""A module, the name of one of its methods, and what stands in for it."""


@contextmanager
def replaced(replacements: Iterable[Replacement]) -> Iterator[None]:
    """Let each method be what stands in for it until the context ends; other networks of the class never notice."""
    done: list[tuple[nn.Module, str]] = []
    try:
        for module, name, method in replacements:
            setattr(module, name, method)
            done.append((module, name))
        yield
    finally:
        for module, name in done:
            delattr(module, name)
