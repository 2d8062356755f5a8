"""The pipelines behind the gateway: which name means which, and the client that asks them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cache, cached_property

from encserve import AccessDenied, AsyncClient, ContractError, EncserveError, InvalidInput, PipelineInfo
from encserve._verbs.table import VERBS
from encserve_gateway.aliases import Alias
from encserve_gateway.config import GatewayConfig
from encserve_gateway.faults import Fault, Kind, fault_of, shown

LOG = logging.getLogger("encserve.gateway")

LISTED_S = 10.0
"""How long a list of the server's pipelines is believed, in seconds."""

NO_NAME = frozenset({"", "default/not-specified"})
"""What clients write who have to write something; the second is Infinity's."""


Allowed = Callable[[str], bool]
"""Whether who asks may use a name."""


def anything(name: str) -> bool:
    """Every name may be used."""
    return True


@dataclass(frozen=True, kw_only=True)
class Served:
    """A name that a caller may use, and what it means."""

    name: str
    """As the caller wrote it, or as it is chosen for who wrote none."""
    pipeline: PipelineInfo
    """What answers."""
    alias: Alias
    """The defaults of this name."""


class Upstream:
    """The pipelines of one server, or of its replicas.

    Args:
        connect: makes the client, in the event loop in which it is used.
        config: which names there are.
    """

    def __init__(self, connect: Callable[[], AsyncClient], config: GatewayConfig) -> None:
        self._connect = connect
        self._models = config.models
        self._aliases = {alias.name: alias for alias in config.aliases}
        self._served: dict[str, Served] = {}
        """What names meant when they were last asked for."""
        self._listed: list[str] = []
        self._listed_at_s: float | None = None
        self._listing: asyncio.Task[list[str]] | None = None
        self._told = ""
        """Why the server lists nothing, as the log has it already."""

    @cached_property
    def client(self) -> AsyncClient:
        """The client, made when it is first needed."""
        return self._connect()

    async def close(self) -> None:
        """Close the client, where there is one."""
        if "client" in vars(self):
            await self.client.close()

    async def named(self, name: str | None, task: str, *, allowed: Allowed = anything) -> Served:
        """What a name means, for a route that needs this task; the first pipeline of the task for no name.

        Raises:
            Fault: `UNKNOWN_MODEL`, `WRONG_TASK`, `INVALID` where a name is needed, or the server does not answer.
        """
        if name is None or name in NO_NAME:
            return await self._default(task, allowed)
        served = await self.any(name, allowed=allowed)
        if served.pipeline.task not in answering(task):
            does = f"the model {shown(name)} does {served.pipeline.task}"
            raise Fault(Kind.WRONG_TASK, f"{does}, here {task} is asked for", param="model")
        return served

    async def first(self, *, allowed: Allowed = anything) -> Served:
        """The first name that may be asked. Raises Fault."""
        async for served in self._each():
            if allowed(served.name):
                return served
        raise Fault(Kind.UNKNOWN_MODEL, "there is no model here that this gateway could name")

    async def any(self, name: str, *, allowed: Allowed = anything) -> Served:
        """What a name means, whatever its task. Raises Fault."""
        if not allowed(name):
            raise Fault(Kind.FORBIDDEN, f"this API key may not ask the model {shown(name)}", param="model")
        known = self._served.get(name)
        alias = known.alias if known else self._aliases.get(name) or Alias(name=name, pipeline=name)
        if self._models and alias.pipeline not in self._models:
            raise _unknown(name)
        try:
            pipeline = await self.client.pipeline(alias.pipeline)
        except ContractError as error:  # a step of a pipeline, or a model of somebody else
            raise _unknown(name) from error
        except EncserveError as error:
            raise fault_of(error, model=name) from error
        if known is None or known.pipeline is not pipeline:
            known = self._served[name] = Served(name=name, pipeline=pipeline, alias=alias)
        return known

    async def all(self) -> list[Served]:
        """All names that callers may use: aliases first, then pipelines; what is not served now is left out.

        Raises:
            Fault: the server does not answer.
        """
        return [served async for served in self._each()]

    async def _each(self) -> AsyncIterator[Served]:
        for name in dict.fromkeys([*self._aliases, *await self._pipelines()]):
            try:
                served = await self.any(name)
            except Fault as fault:
                if fault.kind is not Kind.UNKNOWN_MODEL:
                    raise
            else:
                yield served

    async def _default(self, task: str, allowed: Allowed) -> Served:
        other = None
        async for served in self._each():
            if served.pipeline.task == task and allowed(served.name):
                return served
            if other is None and served.pipeline.task in answering(task) and allowed(served.name):
                other = served
        if other is not None:
            return other
        if not self._models and not self._listed:
            raise Fault(Kind.INVALID, "model is missing, and this gateway cannot list its pipelines", param="model")
        raise Fault(Kind.UNKNOWN_MODEL, f"no model here does {task}", param="model")

    async def _pipelines(self) -> list[str]:
        """The names of the pipelines: those that were given, or those that the server lists; none where it does not
        list them for us."""
        if self._models:
            return list(self._models)
        if self._listed_at_s is not None and time.monotonic() - self._listed_at_s < LISTED_S:
            return self._listed
        if self._listing is None or self._listing.done():
            self._listing = asyncio.create_task(self._list())
        # A request whose caller goes away must not take the list from the others.
        return await asyncio.shield(self._listing)

    async def _list(self) -> list[str]:
        try:
            self._listed = sorted(pipeline.name for pipeline in await self.client.models())
            self._told = ""
        except (AccessDenied, InvalidInput) as error:  # no secret, or one that may not travel there in plain text
            if str(error) != self._told:
                self._told = str(error)
                LOG.warning("the server does not list its pipelines; name those to offer with --model: %s", error)
            self._listed = []
        except EncserveError as error:
            raise fault_of(error, model="") from error
        self._listed_at_s = time.monotonic()
        return self._listed


@cache
def answering(task: str) -> tuple[str, ...]:
    """The tasks whose pipelines answer where one of `task` is asked for, that itself first."""
    others = (each for verb in VERBS.values() if verb.task == task for each in verb.tasks)
    return tuple(dict.fromkeys((task, *others)))


def _unknown(name: str) -> Fault:
    return Fault(Kind.UNKNOWN_MODEL, f"there is no model {shown(name)}", param="model")
