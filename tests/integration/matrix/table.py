"""docs/models.md: the matrix, as its test measured it."""

from pathlib import Path

from export.families.checkpoints import CASES

from encserve_export.attention.families import FAMILIES
from encserve_export.checkpoint.tasks.table import TASKS

from .cells import TOKENIZERS

FILE = Path(__file__).parents[3] / "docs" / "models.md"
NO_HEAD, DECODER, NOT_RUN, FAILED = "no head", "decoder", "not run", "**failed**"
_LONGEST_REASON = 120

_HEADING = f"""\
# Families and tasks

`make matrix` wrote this table from what it measured. Each cell is a small checkpoint of random weights with the real
configuration class, network and head of transformers and a tokenizer trained for the test. It was exported, loaded into
a Triton server and asked through the SDK; the number is the largest difference of any component, weight or score from
the answer of transformers or sentence-transformers on texts of mixed lengths, empty to too long. Up to 1e-4 is allowed;
labels, spans, offsets and the order of answers must be equal.

- `{NO_HEAD}`: transformers has no such head for the family.
- `{DECODER}`: the head that transformers has reads each text with a decoder too, so it is no head of an encoder; the
  export refuses it and says so.
- `{NOT_RUN}`: not measured yet. {FAILED}: what lacks here.
- packed: the texts of a batch run end to end, without padding. padded: the network pads inside the graph.
- Gemma 3, Llama, Mistral, Qwen2 and Qwen3 are decoders, whose tokens see what stands before them alone. both ways: with
  the setting by which they see all of their text, `is_causal` or `use_bidirectional_attention` (EmbeddingGemma).
  Where their tokenizer puts no special token around a text, the empty text is of no tokens, and has no answer in
  transformers: the pipeline refuses it, by its number in the request.
- Checkpoints for late interaction (Stanford's ColBERT, PyLate, MultiVectorEncoder) stand on these families and are a
  task of their own, [late-interaction](tasks/late_interaction.md); `tests/export/late_interaction` has BERT, RoBERTa
  and ModernBERT in the three layouts.
- Sparse encoders whose [queries need no network](tasks/sparse_embeddings.md#queries-without-a-network) stand on any
  family of sparse-embedding; `tests/export/sparse` has BERT and DistilBERT.
- Language models as [rerankers](tasks/reranking.md#language-models-as-rerankers) score by the logit of a word, and not
  by the head of text-ranking here; `tests/export/rerankers` has Qwen3, Qwen2 and Gemma 3 in a server's steps without
  Triton. Cross-encoders of modules are there too.
- Tasks that only checkpoints of one kind have are compared in folders of their own: `tests/export/hybrid` (BGE-M3),
  `tests/export/gliner` and `gliner2`, `tests/export/generation`.
- Networks that encserve has itself have no row, since transformers has no class to ask: JinaBERT v2 and Nomic BERT with
  experts in `tests/export/foreign`, static embeddings in `tests/export/static`, in a server's steps without Triton.

"""


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def read():
    """The cells of the table as it is: (case, task) -> cell."""
    cells = {}
    for line in FILE.read_text(encoding="utf-8").splitlines() if FILE.is_file() else ():
        case, _, _, *row = (cell.strip() for cell in line.strip("|").split("|")) if line.startswith("| ") else ("",) * 3
        if case in CASES:
            cells.update({(case, task): cell for task, cell in zip(TASKS, row, strict=False)})
    return cells


def text(cells):
    """The whole file."""
    lines = [_row(["family", "tokenizer", "runs", *TASKS]), _row(["---"] * (3 + len(TASKS)))]
    for case in sorted(CASES):
        runs = "padded" if FAMILIES[case.split()[0]].padded else "packed"
        row = [cells.get((case, task), NOT_RUN) for task in TASKS]
        lines.append(_row([case, TOKENIZERS[CASES[case][2]], runs, *row]))
    return _HEADING + "\n".join(lines) + "\n"


def reason(error):
    """A failure as a cell."""
    first = (str(error).strip().splitlines() or [""])[0].replace("|", "/").partition(", ")[0]
    return f"{FAILED}: {type(error).__name__} {first[:_LONGEST_REASON]}".strip()


def put(case, task, cell):
    """Change one cell of the file."""
    FILE.write_text(text(read() | {(case, task): cell}), encoding="utf-8")
