"""Loading a checkpoint by the library's own means: on the CPU, in FP32, with eager attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers
from sentence_transformers.base.modules import Router
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .merging import merge, merge_task
from .messages import Library
from .reach import reach_of

_UNBOUNDED = 10**9  # transformers gives 1e30 where a tokenizer states no length


def network_in(encoder: torch.nn.Module) -> PreTrainedModel:
    """The model of transformers that `encoder` is, or holds."""
    return next(module for module in encoder.modules() if isinstance(module, PreTrainedModel))


def set_length(library: Library, encoder: Any) -> None:
    """Let an encoder of sentence-transformers cut texts where it would by itself, but for what the user chose and what
    the network can take."""
    network = network_in(encoder)
    holding: Any = encoder
    if isinstance(encoder[0], Router):  # which would give the longest of all routes to each of them
        routes: Any = encoder[0].sub_modules
        first = (route[0] for route in routes.values())
        holding = next(each for each in first if any(module is network for module in each.modules()))
    holding.max_seq_length = length_of(library, holding.max_seq_length, network, holding.tokenizer)


def merge_adapter(library: Library, encoder: torch.nn.Module) -> None:
    """Merge the adapter that is asked about, if there is one, into the model of transformers in `encoder`."""
    if library.task_of is not None:
        merge_task(network_in(encoder), *library.task_of)
    elif library.adapter is not None:
        merge(network_in(encoder), library.adapter)


def model_arguments(library: Library) -> dict[str, Any]:
    """What `from_pretrained` of a model gets."""
    return {
        "dtype": "float32",
        "attn_implementation": "eager",
        "use_safetensors": None if library.allow_pickle else True,
    }


def code_arguments(library: Library) -> dict[str, Any]:
    """What every loading function gets of the checkpoint's own code."""
    return {} if library.code is None else {"trust_remote_code": True}


def length_of(
    library: Library, stated: float | None, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> int:
    """Tokens of a text, where the library itself would take `stated`: as many as the user chose, else no more than the
    network can take.

    Raises:
        ValueError: nobody says how many.
    """
    if library.max_length is not None:
        return library.max_length
    if stated is None or stated >= _UNBOUNDED:
        stated = getattr(model.config, "n_positions", None)  # T5's, which its tokenizers repeat
    known = [int(each) for each in (stated, reach_of(model, tokenizer)) if each]
    if not known:
        raise ValueError("neither the network nor the tokenizer says how long a text may be")
    return min(known)


def pipeline_of(library: Library, network: type[Any], **options: Any) -> Any:
    """The pipeline of transformers for the task; its tokenizer cuts texts at the length that the checkpoint states."""
    model = model_of(library, network)
    tokenizer = tokenizer_of(library, model)
    pipeline: Callable[..., Any] = transformers.pipeline
    return pipeline(library.task, model=model, tokenizer=tokenizer, device="cpu", **options)


def model_of(library: Library, network: type[Any]) -> Any:
    """A model of transformers."""
    model = network.from_pretrained(library.folder, **model_arguments(library), **code_arguments(library)).eval()
    merge_adapter(library, model)
    return model


def tokenizer_of(library: Library, model: PreTrainedModel) -> PreTrainedTokenizerBase:
    """The tokenizer of transformers. As in sentence-transformers its length is bounded by that of the network, too."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(library.folder, **code_arguments(library))
    positions = [getattr(model.config, name, None) for name in ("max_position_embeddings", "n_positions")]
    stated = min([tokenizer.model_max_length, *(float(each) for each in positions if each)])
    tokenizer.model_max_length = length_of(library, stated, model, tokenizer)
    return tokenizer
