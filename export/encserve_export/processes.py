"""Starting a process of our own that runs one of our modules, and nothing that lies in the working directory."""

from __future__ import annotations

import sys

# `python -m` and `python -c` look for modules in the working directory first, which may be a checkpoint that nobody
# trusts; Python 3.10 has no option against it. What stands for it in the path is an empty string.
_PROGRAM = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    "import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)


def command_of(module: str, *arguments: str) -> list[str]:
    """The command that runs `module` as `python -m` does."""
    return [sys.executable, "-c", _PROGRAM.format(module=module), *arguments]
