"""What is measured on a card: the certified graph, and two ways to run the same checkpoint in PyTorch.

Each takes texts as token ids and gives their vectors; token ids go to the card and vectors come back, since a server
has to do that too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.gpu.networks import LONGEST

Ids = Sequence[NDArray[np.int64]]
"""The token ids of texts."""
Vectors = NDArray[np.float32]
Encode = Callable[[Ids], Vectors]

MOST_TOKENS = 16_384
"""Of one call of a network, padding counted."""
VARLEN = "varlen"
"""What the attention implementation of `packed_varlen` is called in transformers."""


class CannotRun(Exception):
    """A system does not run here; the message says why."""


@contextmanager
def certified_graph(pipeline: Path, device: str) -> Iterator[Encode]:
    """The graph of an exported pipeline, opened as Triton's onnxruntime backend does on a card, by its configuration.

    Raises:
        CannotRun: the pipeline was not exported, or ONNX Runtime has no card here.
    """
    from encserve_export.engines.onnxruntime_backend.cuda import why_no_cuda
    from encserve_export.engines.onnxruntime_backend.onnxruntime_engine import on_cpu
    from encserve_export.engines.onnxruntime_backend.onnxruntime_session import network_of, open_session
    from encserve_repository.config_text import from_text

    if device == "cuda" and (lacking := why_no_cuda()):
        raise CannotRun(lacking)
    encode = pipeline.with_name(f"{pipeline.name}_encode")
    if not (encode / "config.pbtxt").is_file():
        raise CannotRun("its export gave nothing")
    config = on_cpu() if device == "cpu" else from_text((encode / "config.pbtxt").read_text())
    session = open_session(encode / "1" / "model.onnx", config)
    run = network_of(session, config)
    names = [each.name for each in session.get_inputs()]
    output = session.get_outputs()[0].name

    def pack(ids: Ids) -> Vectors:
        row = np.concatenate(list(ids))
        given = {"input_ids": row, "lengths": np.array([len(each) for each in ids], np.int64)}
        return run({name: given.get(name, np.zeros_like(row)) for name in names}, [output])[0]

    yield lambda ids: in_calls(ids, pack, padded=False)


@contextmanager
def padded_sdpa(checkpoint: Path, device: str, dtype: torch.dtype = torch.bfloat16) -> Iterator[Encode]:
    """PyTorch with scaled_dot_product_attention, texts sorted by length and padded to the longest of a call."""
    import transformers

    network: Any = transformers.AutoModel.from_pretrained(str(checkpoint), dtype=dtype, attn_implementation="sdpa")
    network = network.eval().to(device)

    def batch(ids: Ids) -> Vectors:
        padded = nn.utils.rnn.pad_sequence([torch.from_numpy(each) for each in ids], batch_first=True).to(device)
        lengths = torch.tensor([len(each) for each in ids], device=device)
        mask = torch.arange(padded.shape[1], device=device)[None] < lengths[:, None]  # (n, L)
        states = network(input_ids=padded, attention_mask=mask.long()).last_hidden_state  # (n, L, H)
        weights = mask[..., None].float()
        return _on_host((states.float() * weights).sum(1) / weights.sum(1))

    with torch.inference_mode():
        yield lambda ids: in_calls(ids, batch, padded=True)


@contextmanager
def packed_varlen(checkpoint: Path, device: str, dtype: torch.dtype = torch.bfloat16) -> Iterator[Encode]:
    """PyTorch without padding: texts end to end, attention by `varlen_attn` of `torch.nn.attention.varlen`,
    which is flash attention. A CPU has no such kernel; there each text attends by itself, for rehearsals alone.

    Raises:
        CannotRun: this PyTorch does not have it, or not with the windows that the network asks for.
    """
    from transformers import AttentionInterface

    from encserve_export.attention.encoding import attention
    from encserve_export.checkpoint.loading import load_checkpoint
    from encserve_export.config import ExportConfig
    from encserve_export.network.packed_heads import packed_network

    kernel = _text_by_text if device == "cpu" else _flash()
    loaded = load_checkpoint(ExportConfig(checkpoint=str(checkpoint), name="measured"))
    network = packed_network(loaded).eval().to(device, dtype)

    def pack(ids: Ids) -> Vectors:
        row = torch.from_numpy(np.concatenate(list(ids))).to(device)
        return _on_host(network(row, torch.tensor([len(each) for each in ids], device=device)))

    AttentionInterface.register(VARLEN, _attending_by(kernel))
    with torch.inference_mode(), attention(loaded.encoder, VARLEN):
        yield lambda ids: in_calls(ids, pack, padded=False)


def in_calls(ids: Ids, call: Callable[[Ids], Vectors], *, padded: bool) -> Vectors:
    """The vectors of all texts, by calls of `MOST_TOKENS` at most, the longest texts first; in the order of `ids`."""
    order = sorted(range(len(ids)), key=lambda index: -len(ids[index]))
    groups: list[list[int]] = [[]]
    for index in order:
        group = groups[-1]
        if padded:
            tokens = (len(group) + 1) * len(ids[group[0] if group else index])
        else:
            tokens = sum(len(ids[each]) for each in group) + len(ids[index])
        if group and tokens > MOST_TOKENS:
            groups.append([index])
        else:
            group.append(index)
    rows = np.concatenate([call([ids[index] for index in group]) for group in groups])
    vectors = np.empty_like(rows)
    vectors[[index for group in groups for index in group]] = rows
    return vectors


def _on_host(vectors: Tensor) -> Vectors:
    return vectors.float().cpu().numpy()


Kernel = Callable[[Tensor, Tensor, Tensor, Tensor, float, "int | None"], Tensor]
"""Queries, keys and values (T, heads, dim), where texts begin and end (n + 1,), the scale, and the places of a window;
to (T, heads, dim)."""


def _attending_by(kernel: Kernel) -> Callable[..., tuple[Tensor, None]]:
    """What transformers calls in each layer of a pack."""
    from encserve_export.attention.packing import current_packing

    def attend(
        module: nn.Module,
        query: Tensor,  # (1, heads, T, dim)
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        scaling: float | None = None,
        sliding_window: int | None = None,
        **others: Any,
    ) -> tuple[Tensor, None]:
        packing = current_packing()
        scale = query.shape[3] ** -0.5 if scaling is None else scaling
        q, k, v = (each[0].transpose(0, 1).contiguous() for each in (query, key, value))  # (T, heads, dim)
        return kernel(q, k, v, packing.cumulative_lengths, scale, sliding_window)[None], None

    return attend


def _flash() -> Kernel:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError as error:
        raise CannotRun(f"PyTorch {torch.__version__} has no torch.nn.attention.varlen") from error
    taken = inspect.signature(varlen_attn).parameters
    multiply: Any = varlen_attn

    def kernel(q: Tensor, k: Tensor, v: Tensor, ends: Tensor, scale: float, window: int | None) -> Tensor:
        options: dict[str, Any] = {}
        if "scale" in taken:
            options["scale"] = scale
        elif scale != q.shape[2] ** -0.5:
            raise CannotRun(f"varlen_attn of PyTorch {torch.__version__} takes no scale, and the network has its own")
        if window is not None:
            if "window_size" not in taken:
                raise CannotRun(f"varlen_attn of PyTorch {torch.__version__} takes no window, and the network has one")
            options["window_size"] = (window - 1, window - 1)
        # An upper bound of the longest text, so that nothing waits for the card.
        result: Tensor = multiply(q, k, v, ends, ends, LONGEST, LONGEST, **options)
        return result

    return kernel


def _text_by_text(q: Tensor, k: Tensor, v: Tensor, ends: Tensor, scale: float, window: int | None) -> Tensor:
    places = ends.tolist()
    mixed = torch.empty_like(q)
    for begin, end in pairwise(places):
        own_q, own_k, own_v = (each[begin:end].transpose(0, 1) for each in (q, k, v))  # (heads, l, dim)
        place = torch.arange(end - begin)
        seen = None if window is None else (place[:, None] - place[None]).abs() < window
        attended = nn.functional.scaled_dot_product_attention(own_q, own_k, own_v, attn_mask=seen, scale=scale)
        mixed[begin:end] = attended.transpose(0, 1)
    return mixed
