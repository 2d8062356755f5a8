"""Which way imports go: between packages as CONTRIBUTING.md says, and within a package never in a circle."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "encserve": set(),
    "encserve_repository": set(),
    "encserve_pages": set(),
    "encserve_bulk": {"encserve"},
    "encserve_lifecycle": {"encserve", "encserve_pages"},
    "encserve_local": {"encserve", "encserve_repository"},
    "encserve_gateway": {"encserve"},
    "encserve_ray": {"encserve", "encserve_bulk"},
    "encserve_server": {"encserve", "encserve_lifecycle", "encserve_repository"},
    "encserve_loadtest": {"encserve", "encserve_pages", "encserve_repository", "encserve_server"},
    "encserve_export": {"encserve", "encserve_lifecycle", "encserve_pages", "encserve_repository", "encserve_server"},
}
DOORS = {"encserve.local": "encserve_local", "encserve.ray": "encserve_ray"}
"""Modules of the SDK that hand on what a package above it has; nothing in the SDK imports them."""
FOLDERS = {name: next(ROOT.glob(f"*/{name}")) for name in MAY_IMPORT}


@cache
def modules_of(package):
    """Dotted name -> syntax tree; that of a package's own `__init__.py` ends with `__init__`."""
    folder = FOLDERS[package]
    files = {file: ".".join(file.relative_to(folder.parent).with_suffix("").parts) for file in folder.rglob("*.py")}
    return {name: ast.parse(file.read_text("utf-8")) for file, name in files.items()}


def imports_of(package):
    """Pairs of an importing module and what it imports, wherever in the module that stands."""
    for module, tree in modules_of(package).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((module, each.name) for each in node.names)
            elif isinstance(node, ast.ImportFrom):
                room = module.split(".")[: -node.level] if node.level else []
                begin = ".".join([*room, *([node.module] if node.module else [])])
                yield from ((module, f"{begin}.{each.name}") for each in node.names)


def module_named(package, dotted):
    """The module that an import of `dotted` reads: itself, the package of that name, or what holds the name."""
    modules, parts = modules_of(package), dotted.split(".")
    for end in range(len(parts), 0, -1):
        for name in (".".join(parts[:end]), ".".join([*parts[:end], "__init__"])):
            if name in modules:
                return name
    return None


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_those_that_it_may(package):
    met = {(module, imported.partition(".")[0]) for module, imported in imports_of(package)}
    wrong = {(module, other) for module, other in met if other in MAY_IMPORT.keys() - {package, *MAY_IMPORT[package]}}
    assert wrong - DOORS.items() == set()


def test_the_sdk_itself_goes_through_no_door():
    assert not [module for module, imported in imports_of("encserve") if imported.startswith(tuple(DOORS))]


WAITED_FOR = ("transformers.models.", "scipy.stats", "torch._dynamo", "torch._inductor")
"""Of what takes tenths of a second: the code of each network, and what few exports need."""


def test_the_exporter_imports_no_network_and_no_statistics_before_it_needs_them():
    """A module whose top imports them costs every export their time, whichever checkpoint it is of."""
    early = {
        (module, imported)
        for module, tree in modules_of("encserve_export").items()
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for imported in ([each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        if imported.startswith(WAITED_FOR)
    }
    tokenizer = "transformers.models.bert.tokenization_bert_legacy"  # of a few lines, and of no network
    own = {  # each imported for its checkpoints alone, by name
        ("encserve_export.reference.networks.jina_bert", "transformers.models.bert.modeling_bert"),
        ("encserve_export.reference.networks.nomic_moe", "transformers.models.nomic_bert.modeling_nomic_bert"),
    }
    assert early == {("encserve_export.checkpoint.reference_tokenizers", tokenizer), *own}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_rooms_and_modules_side_by_side_import_each_other_in_no_circle(package):
    """Of each folder: what a room imports is what any module in it imports."""
    arrows = {}
    for module, imported in imports_of(package):
        ours, theirs = module.split("."), (module_named(package, imported) or "").split(".")
        common = next((place for place, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), 0)
        if common:
            sides = (".".join(name[: common + 1]) for name in (ours, theirs))
            arrows.setdefault(next(sides), set()).add(next(sides))
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))
