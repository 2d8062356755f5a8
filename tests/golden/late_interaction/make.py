"""Write what PyLate 1.6.0 itself says of the checkpoints of `tests/export/late_interaction`, a file for each, one text
at a time.

It wants older sentence-transformers and transformers than what writes the checkpoints. So with the environment of
encserve, in this folder, `PYTHONPATH=../.. python make.py write /tmp/checkpoints`; then in one of its own,
`pip install pylate==1.6.0`, `python make.py ask /tmp/checkpoints`.
"""

import json
import sys
from pathlib import Path

import numpy as np


def write(folder):
    """Write the checkpoints, and the texts beside them."""
    from export.late_interaction.test_layouts import OF_PYLATE, TEXTS

    for name, make in OF_PYLATE.items():
        make(folder / name)
    (folder / "texts.json").write_text(json.dumps(TEXTS), encoding="utf-8")


def ask(folder):
    """Ask the library about each text, as a query and as a document."""
    from pylate.models import ColBERT

    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    for checkpoint in (each for each in folder.iterdir() if each.is_dir()):
        model = ColBERT(str(checkpoint), device="cpu")
        answers = {
            f"{kind}_{number}": model.encode([text], is_query=kind == "query")[0]
            for kind in ("query", "document")
            for number, text in enumerate(texts)
        }
        np.savez(Path(__file__).parent / f"{checkpoint.name}.npz", **answers)


{"write": write, "ask": ask}[sys.argv[1]](Path(sys.argv[2]))
