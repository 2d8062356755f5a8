"""Texts that a decoder makes of texts, as `generate` of transformers does, one text after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import transformers

from .loading import model_of, tokenizer_of
from .messages import Answer, Answered, Asked, Library, Row
from .watching import Watched


class Generation:
    """`generate` of `AutoModelForSeq2SeqLM`, with the checkpoint's own settings."""

    by, package = "AutoModelForSeq2SeqLM.generate", "transformers"

    def __init__(self, library: Library) -> None:
        self._model = model_of(library, transformers.AutoModelForSeq2SeqLM)
        encoder = self._model.get_encoder()
        self._tokenizer = tokenizer_of(library, encoder)
        self.watched = Watched(encoder)
        tasks: dict[str, Any] = getattr(self._model.config, "task_specific_params", None) or {}
        codes: list[str] = getattr(self._tokenizer, "supported_language_codes", [])  # of a Marian of several languages
        self.prompts = {code[2:-2]: f"{code} " for code in sorted(codes)}
        self.prompts |= {name: task["prefix"] for name, task in tasks.items() if task.get("prefix")}
        self._languages: dict[str, int] = getattr(self._tokenizer, "lang_code_to_id", {})  # of M2M100

    def answer(self, asked: Asked) -> Answered:
        """Of each text the tokens that were made, with the one that ends it, and their text; and as its row what the
        encoder read, with the logits (r, V) before each token that was made."""
        options = {name: value for name, value in asked.options.items() if name != "prompt_name"}
        prompt = self.prompts[name] if (name := asked.options.get("prompt_name")) else ""
        if language := options.pop("source_language", None):
            self._tokenizer.src_lang = language
        if language := options.pop("target_language", None):
            named = self._languages.get(language)
            options["forced_bos_token_id"] = named or self._tokenizer.convert_tokens_to_ids(language)
        answers, rows = [], []
        for text in asked.inputs["text"]:
            cut = {"truncation": True, "max_length": self._tokenizer.model_max_length}
            inputs = self._tokenizer(prompt + text, return_tensors="pt", **cut)
            source = {name: inputs[name] for name in ("input_ids", "attention_mask")}
            made = self._model.generate(**source, **options)  # (1, 1 + r): the token before the first one leads
            logits = self._model(**source, decoder_input_ids=made[:, :-1]).logits[0].float().numpy()
            tokens = made[0, 1:].tolist()
            spoken = set(self._languages.values())  # which are no text, also where the checkpoint does not say it
            written = [token for token in tokens if token not in spoken]
            said = str(self._tokenizer.decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False))
            numbers = np.zeros(0, np.float32)
            answers.append((Answer("found", numbers, tuple(tokens)), Answer("found", numbers, (said,))))
            self.watched.rows()
            rows.append(Row(inputs["input_ids"][0].numpy(), None, logits))
        return Answered(answers, rows)
