"""The modules that a checkpoint lists, in their order: those of `modules.json`, and behind a Router those of its route
for documents, beside a table that answers queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import MODULE_KEYS, ROUTER_KEYS
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_json, read_needed_object

_MODULES, _ROUTES = "modules.json", "router_config.json"
_OWN = "sentence_transformers."
_NETWORKS = ("Transformer", "MLMTransformer", "StaticEmbedding")
_QUERY, _DOCUMENT = "query", "document"


@dataclass(frozen=True)
class ListedModule:
    """A module, and where its files lie."""

    type: str
    """Its class, with the Python module of that."""
    path: str
    """Its folder, from that of the checkpoint on; empty for that itself."""

    @property
    def kind(self) -> str:
        """The name of its class."""
        return self.type.rsplit(".", 1)[-1]


@dataclass(frozen=True)
class Listed:
    """What a checkpoint lists."""

    modules: tuple[ListedModule, ...]
    """What texts go through, or documents, where queries are answered by a table."""
    table: str | None = None
    """The folder of that table, from that of the checkpoint on."""
    queries_by_default: bool = False
    """Whether a text is a query where nobody says what it is."""


def listed_modules(folder: Path) -> Listed:
    """The modules in the `modules.json` of `folder`.

    Raises:
        Unsupported: a module that routes texts otherwise than queries to a table and documents to a network.
        CheckpointError: a file is missing or not what it should be, or names a folder outside the checkpoint.
    """
    file = folder / _MODULES
    listed = []
    for module in read_json(file):
        check_keys(file, module, ("idx", "name", "path", "type"), MODULE_KEYS)
        listed.append(ListedModule(str(module["type"]), _inside(file, module["path"])))
    if not any(each.kind in ("Router", "Asym") and each.type.startswith(_OWN) for each in listed):
        return Listed(tuple(listed))
    if len(listed) > 1:
        raise Unsupported(f"{file} has a Router beside other modules, which is not supported")
    return _routed(folder, listed[0].path)


def network_folder(folder: Path) -> Path:
    """Where the configuration, the weights and the tokenizer of the network lie: `folder` itself, unless the list of
    modules puts the network elsewhere. Raises as `listed_modules`."""
    if not (folder / _MODULES).is_file():
        return folder
    networks = [each.path for each in listed_modules(folder).modules if each.kind in _NETWORKS]
    return folder / networks[0] if networks else folder


def _routed(folder: Path, path: str) -> Listed:
    file = folder / path / _ROUTES
    stated = read_needed_object(file)
    check_keys(file, stated, ("types", "structure", "parameters"), ())
    types: Mapping[str, str] = stated["types"]
    routes: Mapping[str, Sequence[str]] = stated["structure"]
    parameters = stated.get("parameters") or {}
    check_keys(file, parameters, ("default_route", "allow_empty_key"), ROUTER_KEYS)
    if {*routes} != {_QUERY, _DOCUMENT}:
        raise Unsupported(
            f"{file} has the routes {', '.join(map(repr, routes))}; supported are {_QUERY!r} and {_DOCUMENT!r}"
        )

    def module(name: str) -> ListedModule:
        if name not in types:
            raise CheckpointError(f"{file} puts {name!r} into a route and does not state its type")
        return ListedModule(str(types[name]), _inside(file, str(PurePosixPath(path, name)) if name else path))

    queries = [module(name) for name in routes[_QUERY]]
    if [each.kind for each in queries] != ["SparseStaticEmbedding"] or not queries[0].type.startswith(_OWN):
        raise Unsupported(
            f"{file} sends queries through {', '.join(each.kind for each in queries) or 'nothing'}; supported is a "
            "SparseStaticEmbedding of sentence-transformers alone, a table of the tokens' weights"
        )
    default = parameters.get("default_route")
    if default is None and parameters.get("allow_empty_key", True):
        default = next(iter(routes))
    return Listed(
        modules=tuple(module(name) for name in routes[_DOCUMENT]),
        table=queries[0].path,
        queries_by_default=default == _QUERY,
    )


def _inside(file: Path, path: Any) -> str:
    """A folder that `file` names. Raises CheckpointError for one that is not within the checkpoint."""
    if not isinstance(path, str) or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise CheckpointError(f"{file} names the folder {path!r}; one within the checkpoint is expected")
    return "" if path == "." else path
