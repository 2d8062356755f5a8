"""What the programs share that ask another library about small checkpoints, each in an environment of its own: every
case is written, loaded and asked, and the answers go into `entities.json` beside the program."""

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch


def write_answers(program, package, write_checkpoint, ask, *, cases, **asked):
    """Write what `ask` says of each case: its checkpoint lies in the folder that it gets, beside its name, and it gives
    `answers`, lists of entities for each text, by what was asked, and what stands behind them. `asked` is written, too.
    """
    golden = {"library": f"{package} {version(package)}", **asked, "cases": {}}
    for case, how in cases.items():
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            given = ask(str(write_checkpoint(Path(folder) / "checkpoint", **how)), case)
        for entity in (entity for found in given["answers"].values() for of_text in found for entity in of_text):
            entity |= {name: round(entity[name], 6) for name in ("score", "confidence") if name in entity}
        golden["cases"][case] = {"how": how, **given}
        print(case, {name: [*map(len, answers)] for name, answers in given["answers"].items()})
    file = Path(program).parent / "entities.json"
    file.write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")


def rounded(numbers):
    """A tensor as nested lists of numbers with five digits."""
    return numbers.numpy().round(5).tolist()
