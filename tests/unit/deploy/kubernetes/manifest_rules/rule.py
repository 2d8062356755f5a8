"""What a rule about manifests is: what must hold between them, and a change that it must find."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from value_sets import VALUE_SETS

Manifests = list[dict]
RULES = []
"""All rules, in the order in which their modules are read."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Complains of manifests; of those of `values` it does once they were changed by `breaks`."""

    complaints: Callable[[Manifests], Iterator[str]]
    breaks: Callable[[Manifests], object]
    values: dict

    @property
    def name(self) -> str:
        return self.complaints.__name__


def rule(*, breaks, of="default"):
    """Make a rule of a function, with the set of values and the change that shall break it."""

    def register(complaints):
        RULES.append(Rule(complaints=complaints, breaks=breaks, values=VALUE_SETS[of]))
        return complaints

    return register
