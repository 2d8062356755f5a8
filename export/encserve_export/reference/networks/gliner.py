"""GLiNER, the networks of urchade/gliner_*-v2.1 with spans and of knowledgator's with words, written down from the
published code: one text at a time, a vector for each span or for each pair of a word and a label, and nothing shared
with the graph that is served.

The library itself wants an older transformers than encserve has. The modules have the names of the published tensors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from .span_layers import Named, SpanMarker, encoder_of, fill, projection, tensors_of

_WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")


class Network(nn.Module):
    """The published modules, in inference."""

    rows: int
    """Numbers of each word for each label."""

    def __init__(self, stated: Mapping[str, Any], encoder: nn.Module) -> None:
        super().__init__()
        width, layers = stated.get("hidden_size", 512), stated.get("num_rnn_layers", 1)
        self.token_rep_layer = Named(bert_layer=Named(model=encoder))
        if encoder.config.hidden_size != width:  # type: ignore[union-attr]
            self.token_rep_layer.projection = nn.Linear(encoder.config.hidden_size, width)  # type: ignore[union-attr,arg-type]
        if layers:
            lstm = nn.LSTM(width, width // 2, layers, batch_first=True, bidirectional=True)
            self.rnn = Named(lstm=lstm)

    def forward(self, input_ids: Tensor, word_at: Sequence[int], label_at: Sequence[int]) -> Tensor:
        """The tokens of one text, int64 (t,), and which of them are its w words and its c labels, to logits
        (w, rows, c)."""
        encoder: Any = self.token_rep_layer.bert_layer.model  # type: ignore[union-attr]
        mask = torch.ones_like(input_ids)[None]
        states = encoder(input_ids=input_ids[None], attention_mask=mask).last_hidden_state[0]
        if hasattr(self.token_rep_layer, "projection"):
            states = self.token_rep_layer.projection(states)  # type: ignore[operator]
        words, labels = states[list(word_at)], states[list(label_at)]
        if hasattr(self, "rnn"):
            words = self.rnn.lstm(words[None])[0][0]  # type: ignore[operator]
        return self.scored(words, labels)

    def scored(self, words: Tensor, labels: Tensor) -> Tensor:
        """Vectors of words (w, H) and of labels (c, H) to logits (w, rows, c)."""
        raise NotImplementedError


class SpanNetwork(Network):
    """Scores of spans of 1 to K words, each with a vector; those that end behind the text have no meaning."""

    def __init__(self, stated: Mapping[str, Any], encoder: nn.Module) -> None:
        super().__init__(stated, encoder)
        width = stated.get("hidden_size", 512)
        self.rows = stated.get("max_width", 12)
        self.span_rep_layer = Named(span_rep_layer=SpanMarker(width))
        self.prompt_rep_layer = projection(width)

    def scored(self, words: Tensor, labels: Tensor) -> Tensor:
        """Vectors of words (w, H) and of labels (c, H) to logits (w, K, c) of the spans that begin at each word."""
        spans: Tensor = self.span_rep_layer.span_rep_layer(words, self.rows)  # type: ignore[operator]
        return torch.einsum("wkh,ch->wkc", spans, self.prompt_rep_layer(labels))


class WordNetwork(Network):
    """Scores of words: that an entity begins there, that it ends there, and that the word is of it."""

    rows = 3

    def __init__(self, stated: Mapping[str, Any], encoder: nn.Module) -> None:
        super().__init__(stated, encoder)
        width = stated.get("hidden_size", 512)
        self.scorer = Named(
            proj_token=nn.Linear(width, 2 * width),
            proj_label=nn.Linear(width, 2 * width),
            out_mlp=nn.Sequential(nn.Linear(3 * width, 4 * width), nn.Dropout(), nn.ReLU(), nn.Linear(4 * width, 3)),
        )

    def scored(self, words: Tensor, labels: Tensor) -> Tensor:
        """Vectors of words (w, H) and of labels (c, H) to logits (w, 3, c)."""
        layers: Any = self.scorer
        word, of_word = layers.proj_token(words)[:, None].expand(-1, len(labels), -1).chunk(2, -1)  # (w, c, H)
        label, of_label = layers.proj_label(labels)[None].expand(len(words), -1, -1).chunk(2, -1)
        scores: Tensor = layers.out_mlp(torch.cat([word, label, of_word * of_label], -1))  # (w, c, 3)
        return scores.transpose(1, 2)


class Gliner:
    """A checkpoint of the library, with the prompt that it makes of labels."""

    def __init__(self, folder: Path, base: Path | None = None) -> None:
        """What the files in `folder` do not have is read from `base`, or where they say."""
        stated = json.loads((folder / "gliner_config.json").read_text(encoding="utf-8"))
        self.max_words: int = stated.get("max_len", 384)
        self._of_marker = stated.get("embed_ent_token", True)
        self._marker = stated.get("ent_token", "<<ENT>>")
        self._separator = stated.get("sep_token", "<<SEP>>")
        named = base or stated["model_name"]
        source = folder if (folder / "tokenizer_config.json").is_file() else named
        self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        for name in ("bos", "eos"):
            if (
                hasattr(self._tokenizer, f"add_{name}_token")
                and getattr(self._tokenizer, f"{name}_token_id") is not None
            ):
                setattr(self._tokenizer, f"add_{name}_token", True)
        self._marker_id: int = stated.get("class_token_index", -1)
        if -1 in (self._marker_id, stated.get("vocab_size", -1)):
            self._tokenizer.add_tokens(["[FLERT]", self._marker, self._separator], special_tokens=True)
            self._marker_id = len(self._tokenizer) - 2
        encoder = stated.get("encoder_config")
        if encoder is None:
            config = AutoConfig.from_pretrained(named, trust_remote_code=False)
        else:
            config = CONFIG_MAPPING[encoder.get("model_type", "deberta-v2")](**encoder)
        tensors = tensors_of(folder)
        self.of_words = stated.get("span_mode", "markerV0") == "token_level"
        self.network: Network = (WordNetwork if self.of_words else SpanNetwork)(stated, encoder_of(config, tensors))
        fill(self.network, tensors)

    def read(self, text: str, labels: Sequence[str], most: int) -> tuple[list[int], list[int], list[tuple[int, int]]]:
        """The tokens of a text behind its labels, at most so many; which of them begin its words; and where these
        stand. A word of which the tokenizer makes nothing is none, and so is one that is not there whole."""
        prompt = [word for label in labels for word in (self._marker, label)] + [self._separator]
        found = [*_WORD.finditer(text)][: self.max_words]
        encoded = self._tokenizer([*prompt, *(each.group() for each in found)], is_split_into_words=True)
        ids, of_words = encoded["input_ids"], encoded.word_ids()
        if len(ids) > most:
            behind = next(place for place, word in enumerate(reversed(of_words)) if word is not None)
            cut = most - behind
            while cut and of_words[cut] == of_words[cut - 1]:
                cut -= 1
            ids, of_words = ids[:cut] + ids[len(ids) - behind :], of_words[:cut] + [None] * behind
        firsts: dict[int, int] = {}
        for place, word in enumerate(of_words):
            if word is not None and word >= len(prompt):
                firsts.setdefault(word - len(prompt), place)
        return ids, [*firsts.values()], [found[word].span() for word in firsts]

    def logits(self, ids: list[int], word_at: Sequence[int]) -> Tensor:
        """Of each word, or of the spans that begin at each, for each label: (w, rows, c)."""
        label_at = [place + (not self._of_marker) for place, id_ in enumerate(ids) if id_ == self._marker_id]
        logits: Tensor = self.network(torch.tensor(ids), word_at, label_at)
        return logits
