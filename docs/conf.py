"""How Sphinx builds the site from the Markdown files of the whole tree: `make docs`.

The source folder is the root of the tree, so that links between the README, these pages and the files beside the code
are the same on the site as in the tree.
"""

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

import encserve

project = "encserve"
copyright = "the encserve authors"
release = encserve.__version__
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "deploy/**/README.md"]
exclude_patterns = [".*", "model_repository", "benchmarks", "build", "**/site-packages"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
default_role = "code"

html_theme = "furo"
html_title = f"encserve {release}"
html_extra_path = ["site_root"]  # its index.html leads to the first page

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"


def setup(app: Sphinx) -> None:
    """Read docstrings as they are written here."""
    app.connect("autodoc-process-docstring", read_sections)


def read_sections(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Sections such as "Raises:". The extension itself would take an attribute's text before a colon for its type."""
    if what != "attribute":
        lines[:] = GoogleDocstring(lines, Config(), app, what, name, obj, options).lines()
