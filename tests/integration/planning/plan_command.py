"""`encserve plan` as a process of its own."""

import subprocess
import sys
from pathlib import Path

PLAN = """
import argparse, sys
from encserve import EncserveError
from encserve_loadtest import command
parser = argparse.ArgumentParser()
command.add_arguments(parser)
try:
    sys.exit(command.run(parser.parse_args()))
except EncserveError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""


def plan(*options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it in `folder`, where it leaves its report."""
    command = [sys.executable, "-c", PLAN, *options]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=1_500)
