"""GLiNER2's entities, the network of fastino/gliner2-*-v1, written down from its published code: one text at a time, a
vector for each span, every step of the count, and nothing shared with the graph that is served.

encserve does not depend on the library itself. The modules have the names of the published tensors.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from .span_layers import Named, SpanMarker, encoder_of, fill, tensors_of

_TOKENS = (
    *("[SEP_STRUCT]", "[SEP_TEXT]", "[P]", "[C]", "[E]", "[R]", "[L]", "[EXAMPLE]", "[OUTPUT]", "[DESCRIPTION]"),
)
_MARKS = "".join(chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "M")
_PART = rf"[\w{_MARKS}\u200c\u200d]+"
_WORD = re.compile(
    rf"https?://\S+|www\.\S+|[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{{2,}}|@[a-z0-9_]+|{_PART}(?:[-_]{_PART})*|\S",
    re.IGNORECASE,
)
_COUNTS = 20


class _Counted(nn.Module):
    """Vectors of labels in each of the structures that a text has, of which entities are the first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Embedding(_COUNTS, width)
        self.gru = nn.GRU(width, width)

    def steps(self, labels: Tensor, count: int) -> Tensor:
        """Vectors (c, H) of labels to (s, c, H)."""
        given = self.pos_embedding.weight[:count, None].expand(-1, len(labels), -1)
        return self.gru(given.contiguous(), labels[None].contiguous())[0]  # type: ignore[no-any-return]


class _Projected(_Counted):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.projector = _layers(2 * width, 4 * width, width)

    def forward(self, labels: Tensor, count: int) -> Tensor:
        steps = self.steps(labels, count)
        return self.projector(torch.cat([steps, labels.expand_as(steps)], -1))  # type: ignore[no-any-return]


class _Attending(_Counted):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
        self.transformer = Named(
            in_projector=nn.Linear(width, 128),
            transformer=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
            out_projector=_layers(128 + width, width, width, width),
        )

    def forward(self, labels: Tensor, count: int) -> Tensor:
        vectors, own = self.steps(labels, count) + labels, self.transformer
        inner = own.transformer(own.in_projector(vectors))  # type: ignore[operator]
        return own.out_projector(torch.cat([inner, vectors], -1))  # type: ignore[operator,no-any-return]


class _Experts(_Counted):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.w1, self.b1 = nn.Parameter(torch.zeros(4, width, 2 * width)), nn.Parameter(torch.zeros(4, 2 * width))
        self.w2, self.b2 = nn.Parameter(torch.zeros(4, 2 * width, width)), nn.Parameter(torch.zeros(4, width))
        self.router = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 4), nn.Softmax(-1))

    def forward(self, labels: Tensor, count: int) -> Tensor:
        steps = self.steps(labels, count)
        inner = nn.functional.gelu(torch.einsum("scd,edh->sceh", steps, self.w1) + self.b1)
        made = torch.einsum("sceh,ehd->sced", inner, self.w2) + self.b2
        return torch.einsum("sce,sced->scd", self.router(steps), made)


_COUNTING = {"count_lstm": _Projected, "count_lstm_v2": _Attending, "count_lstm_moe": _Experts}


class SpanNetwork(nn.Module):
    """The published modules, in inference."""

    def __init__(self, stated: Mapping[str, Any], encoder: nn.Module) -> None:
        super().__init__()
        width: int = encoder.config.hidden_size  # type: ignore[union-attr,assignment]
        self.widths: int = (stated.get("span_head") or {}).get("max_width") or stated.get("max_width") or 8
        self.encoder = encoder
        self.span_rep = Named(span_rep_layer=SpanMarker(width))
        self.count_pred = _layers(width, 2 * width, _COUNTS)
        self.count_embed = _COUNTING[stated.get("counting_layer") or "count_lstm"](width)

    def forward(
        self, input_ids: Tensor, word_at: Sequence[int], label_at: Sequence[int], all_at: int
    ) -> tuple[Tensor, float]:
        """The tokens of one text, int64 (t,), and which of them are its w words, its c labels, and what stands for all
        labels, to logits (w, K, c) of the spans of 1 to K words, of which those that end behind the text have no
        meaning; and how far the likeliest count is above that of 0."""
        mask = torch.ones_like(input_ids)[None]
        states = self.encoder(input_ids=input_ids[None], attention_mask=mask).last_hidden_state[0]
        words, labels = states[list(word_at)], states[list(label_at)]
        counts = self.count_pred(states[all_at])
        count = max(int(counts.argmax()), 1)
        asked = self.count_embed(labels, count)[0]  # (c, H)
        spans: Tensor = self.span_rep.span_rep_layer(words, self.widths)  # type: ignore[operator]
        return torch.einsum("wkh,ch->wkc", spans, asked), float(counts[1:].max() - counts[0])


def _layers(*widths: int) -> nn.Sequential:
    """Linear layers from each width to the next, with a ReLU between them."""
    linear = [nn.Linear(taken, given) for taken, given in pairwise(widths)]
    return nn.Sequential(*[each for layer in linear for each in (layer, nn.ReLU())][:-1])


class Gliner2:
    """A checkpoint of the library, with the prompt that it makes of labels."""

    def __init__(self, folder: Path) -> None:
        stated = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self._tokenizer.add_tokens([*_TOKENS], special_tokens=True)
        config = AutoConfig.from_pretrained(folder / "encoder_config", trust_remote_code=False)
        tensors = tensors_of(folder)
        self.network = SpanNetwork(stated, encoder_of(config, tensors))
        fill(self.network, tensors)

    def read(
        self, text: str, labels: Sequence[str], most: int, descriptions: Sequence[str] | None = None
    ) -> tuple[list[int], list[int], list[tuple[int, int]]]:
        """The tokens of a text behind its labels, at most so many; which of them begin its words; and where these
        stand, a full stop that the library adds at the end of the word before. A word of which the tokenizer makes
        nothing is none, and so is one that is not there whole."""
        said = "entities"
        for label, description in zip(labels, descriptions or (), strict=False):
            said += f" [DESCRIPTION] {label}: {description}" if description else ""
        ids = [id_ for token in ("(", "[P]", said, "(") for id_ in self._ids(token)]
        for label in labels:
            ids += self._ids("[E]") + self._ids(label)
        ids += [id_ for token in (")", ")", "[SEP_TEXT]") for id_ in self._ids(token)]
        whole = text if text.endswith((".", "!", "?")) else text + "."
        word_at, places, end = [], [], 0
        for word in _WORD.finditer(whole):
            own, begin = self._ids(word.group().lower()), word.start()
            if len(ids) + len(own) > most:
                break
            place = (end, end) if begin >= len(text) else (begin, min(word.end(), len(text)))
            end = place[1]
            if own:
                word_at.append(len(ids))
                places.append(place)
                ids += own
        return ids, word_at, places

    def logits(self, ids: list[int], word_at: Sequence[int]) -> tuple[Tensor, float]:
        """Of the spans that begin at each word, for each label: (w, K, c); and how sure it is that there are any."""
        (of_a_label,), (closed,) = (self._ids(token) for token in ("[E]", "[SEP_TEXT]"))
        ahead = ids[: ids.index(closed)]
        label_at = [place for place, id_ in enumerate(ahead) if id_ == of_a_label]
        answer: tuple[Tensor, float] = self.network(torch.tensor(ids), word_at, label_at, self.all_at(ids))
        return answer

    def all_at(self, ids: list[int]) -> int:
        """Which of the tokens stands for all labels."""
        (of_all,) = self._ids("[P]")
        return ids.index(of_all)

    def _ids(self, word: str) -> list[int]:
        ids: list[int] = self._tokenizer(word, add_special_tokens=False)["input_ids"]
        return ids
