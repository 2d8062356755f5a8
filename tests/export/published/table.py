"""docs/checkpoints.md: what published checkpoints are served as, or why they are refused, as `inspect` says."""

import re
from pathlib import Path

from encserve_export.adapters.parametrized import has_tasks
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.errors import ExportError

from .folders import write_folder

DOCS = Path(__file__).parents[3] / "docs"
FILE = DOCS / "checkpoints.md"
_MATRIX = DOCS / "models.md"
_ROOMS = {
    "late-interaction": "late_interaction",
    "text2text-generation": "generation",
    "zero-shot-token-classification": "gliner",
    "static_embedding": "static",
    "jina_bert_v2": "foreign",
    "nomic_bert_moe": "foreign",
}
"""Task or family -> the folder of `tests/export` whose tests prove it, where the matrix has no cell for it."""
_AGAIN = "published code, written down again"
_CUT_AT = re.compile(r"; supported are |: nothing here reads it| A checkpoint folder")

_HEADING = """\
# Published checkpoints

A test wrote this page from `tests/export/published/checkpoints.json`, which has the configuration, the modules and the
kind of tokenizer of {count} published checkpoints. It asked for each what `encserve inspect` says, offline and without
weights; so this is what an export of that configuration does today. `encserve inspect CHECKPOINT` says the same of any
folder or hub id, and more.

- **proof**: the answers of small networks of random weights, of the same family and task, beside those of the library
  that the checkpoint is made for. A number is the largest difference in the [matrix](models.md), through a Triton
  server, with the same kind of tokenizer but where it says *other tokenizer*. Else it is the folder of the tests that
  show it, whose tokenizers may be of another kind. *Published code, written down again*: no library has that network,
  or it has it under another name, and the tests compare with the published code as a test writes it down. None of
  these checkpoints was exported with its own weights here: that is what the certificate of *your* export is for.
- **config**: *seen*, where the configuration was read in a public repository that quotes it; *recalled*, where it was
  written down from what is known of the checkpoint, and may differ from what is published.
- *For its weights*: an export refuses such a checkpoint, and so does `encserve inspect` where it reads weights, as it
  does of a folder, and of a hub id with `--weights`. Without them, as for this page, it does not see that.
- Pooling and normalisation are those of the checkpoint's files. `--task` is what must be given, since the files of the
  checkpoint do not say it.

"""
_SERVED = ("checkpoint", "licence", "served as", "family", "vectors", "tokens", "proof", "config")
_REFUSED = ("checkpoint", "licence", "why it is refused", "config")


def text(published, folder):
    """The whole page; `folder` is where the checkpoints are written, one after the other."""
    served, refused = [], []
    for number, each in enumerate(published):
        checkpoint = write_folder(folder / f"{number}", each)
        asked = ExportConfig(checkpoint=str(checkpoint), name="inspected", task=each.get("task"))
        config = "seen" if each["seen"] else "recalled"
        try:
            loaded = load_checkpoint(asked, weights=False)
        except ExportError as error:
            refused.append([each["id"], each["licence"], _reason(error, checkpoint), config])
            continue
        if "weights" in each:
            refused.append([each["id"], each["licence"], f"for its weights: {each['weights']}", config])
            continue
        served.append([each["id"], each["licence"], *_said(loaded, each), config])
    return (
        _HEADING.format(count=len(published))
        + f"## Served: {len(served)}\n\n{_table(_SERVED, served)}\n\n"
        + f"## Refused: {len(refused)}\n\n{_table(_REFUSED, refused)}\n"
    )


def _said(checkpoint, published):
    task, modules = checkpoint.task, checkpoint.modules
    stated = f"`--task {task.name}`" if "task" in published else task.name
    if published.get("note"):
        stated += f"; {published['note']}"
    vectors = ""
    if task.name == "feature-extraction":
        vectors = f"{checkpoint.dimensions}, {modules.pooling}{', normalised' if modules.normalize else ''}"
    elif task.name == "late-interaction":
        vectors = f"{checkpoint.dimensions} a token, normalised"
    return stated, case_of(checkpoint), vectors, f"{checkpoint.max_length:,}", proof_of(checkpoint, published)


def case_of(checkpoint):
    """The row of the matrix that a checkpoint is of."""
    config = checkpoint.config
    family = str(config.model_type)
    if family == "deberta-v2" and getattr(config, "position_buckets", 0) > 0:
        return "deberta-v2 like v3"
    if family == "t5" and config.is_gated_act:
        return "t5 gated"
    causal = getattr(config, "is_causal", True) is False or getattr(config, "use_bidirectional_attention", False)
    return f"{family} both ways" if causal and family in ("gemma3_text", "qwen2", "qwen3") else family


def proof_of(checkpoint, published):
    """What shows that such a checkpoint is answered as its library does."""
    task, family = checkpoint.task.name, str(checkpoint.config.model_type)
    room = _ROOMS.get(task) or _ROOMS.get(family)
    if checkpoint.modules.table:
        room = "sparse"
    elif checkpoint.task.layout == "gliner2_texts":
        room = "gliner2"
    elif checkpoint.template or checkpoint.modules.scores:
        room = "rerankers"
    if room == "foreign":
        return f"{_AGAIN}: {_tests_in(room)}"
    if room:
        return _tests_in(room)
    tokenizer, difference = _cells()[case_of(checkpoint), task]
    shown = [difference if tokenizer == published["tokenizer"] else f"{difference}, other tokenizer"]
    if has_tasks(checkpoint.original):
        shown.append(f"its tasks: {_tests_in('adapters')}")
    elif checkpoint.folder != checkpoint.original:
        shown.append(f"{_AGAIN}: {_tests_in('foreign')}")
    if checkpoint.leaves_out_prompts:
        shown.append(f"prompts that are not pooled: {_tests_in('checkpoints')}")
    return "; ".join(shown)


def _tests_in(room):
    return f"`tests/export/{room}`"


def _cells():
    """The matrix as it was measured: (case, task) -> kind of tokenizer and difference."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in _MATRIX.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    tasks = rows[0][3:]
    return {(row[0], task): (row[1], cell) for row in rows[2:] for task, cell in zip(tasks, row[3:], strict=True)}


def _reason(error, folder):
    """Why a checkpoint is refused, without the place where it lies here, and without what else is offered."""
    words = str(error).replace(f"{folder}/", "").replace(str(folder), "the folder")
    return _CUT_AT.split(words)[0].replace("|", "/")


def _table(heads, rows):
    lines = [heads, ["---"] * len(heads), *sorted(rows, key=lambda row: row[0].casefold())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
