"""What model2vec saves where it saves no modules of sentence-transformers: a table, and whether its vectors have length
one."""

from __future__ import annotations

from pathlib import Path

from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import Unread
from encserve_export.errors import CheckpointError
from encserve_export.json_file import read_object

_MODEL2VEC = "model2vec"
_KEYS = (
    Unread("names the class that made the file", ("architectures",)),
    Unread(
        "says how the table was made",
        (
            "apply_pca",
            "apply_zipf",
            "sif_coefficient",
            "token_remove_pattern",
            "tokenizer_name",
            "vocabulary_quantization",
        ),
    ),
    Unread("is what the tensors show", ("embedding_dtype", "hidden_dim")),
    Unread("says how long a text may be, which --max-length does", ("max_length", "seq_length")),
    Unread("says with what the file was made, or where it was kept", ("*_version", "cache_dir")),
)
"""Keys of model2vec's `config.json`."""


def is_model2vec(folder: Path) -> bool:
    """Whether model2vec saved it, and no modules of sentence-transformers say how it is used."""
    stated = read_object(folder / "config.json")
    return stated.get("model_type") == _MODEL2VEC and not (folder / "modules.json").is_file()


def normalizes(folder: Path) -> bool:
    """Whether vectors are brought to length one, as `config.json` of model2vec says.

    Raises:
        Unsupported: a key of that which nothing here reads.
        CheckpointError: it does not say it.
    """
    file = folder / "config.json"
    stated = read_object(file)
    check_keys(file, stated, ("model_type", "normalize"), _KEYS)
    if type(stated.get("normalize")) is not bool:
        raise CheckpointError(f"{file} states normalize {stated.get('normalize')!r}; true or false is expected")
    return bool(stated["normalize"])
