"""Names under which pipelines are asked, each with what it settles for its callers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from encserve import InvalidInput

SETTINGS = ("prompt_name", "dimensions", "truncate", "adapter")
TRUNCATIONS = ("end", "start", "error")


@dataclass(frozen=True, kw_only=True)
class Alias:
    """Another name of a pipeline, and defaults of the requests that use it."""

    name: str
    """What callers write as `model`."""
    pipeline: str
    """The pipeline that answers."""
    prompt_name: str | None = None
    """The prompt before each text where the request names none; "" for none at all."""
    dimensions: int | None = None
    """The length of the vectors where the request does not say."""
    truncate: str | None = None
    """"end", "start" or "error": what becomes of a text that is too long, where the request does not say."""
    adapter: str | None = None
    """The pipeline's adapter for all texts, where the request does not say."""

    def fill(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a request, of which those that are None have the value that this name has for them."""
        return {name: self._settings.get(name) if value is None else value for name, value in options.items()}

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SETTINGS}


def parse_alias(text: str) -> Alias:
    """An alias as the command line has it: `NAME=PIPELINE`, and after commas its settings, such as
    `e5-query=e5,prompt_name=query`.

    Raises:
        InvalidInput: it has another form, a setting that there is not, or an impossible value.
    """
    first, *others = text.split(",")
    name, equals, pipeline = first.partition("=")
    if not (name and equals and pipeline):
        raise InvalidInput(f"the alias {text!r} has not the form NAME=PIPELINE[,SETTING=VALUE...]")
    settings: dict[str, Any] = {}
    for other in others:
        key, equals, value = other.partition("=")
        if key not in SETTINGS or not equals:
            raise InvalidInput(
                f"the alias {name!r} has {other!r}, expected prompt_name=NAME, dimensions=N, truncate=WAY or "
                "adapter=NAME"
            )
        settings[key] = value
    if "dimensions" in settings:
        dimensions = settings["dimensions"]
        if not (dimensions.isascii() and dimensions.isdigit() and int(dimensions)):
            raise InvalidInput(f"the alias {name!r} has dimensions={dimensions}, expected a positive whole number")
        settings["dimensions"] = int(dimensions)
    if settings.get("truncate", "end") not in TRUNCATIONS:
        raise InvalidInput(
            f"the alias {name!r} has truncate={settings['truncate']}, expected one of {', '.join(TRUNCATIONS)}"
        )
    return Alias(name=name, pipeline=pipeline, **settings)
