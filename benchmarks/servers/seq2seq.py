"""One system that makes texts in its own process, a script for the Python of its own environment: it imports nothing
of this repository.

    python seq2seq.py SYSTEM CHECKPOINT WORK THREADS

It prints a line when it is ready, then answers each line of JSON with one. To
`{"ids": [[...]], "new": [...], "end": 1, "beams": 1}` it says the seconds that it took, and the tokens of each text in
their order. Where `new` is null texts end with the token `end`, after 24 tokens at most.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

BATCH = 16
MOST = 24


class Transformers:
    """`generate` of transformers, or of what follows its interface, in padded batches."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def make(self, ids: list[list[int]], new: int | None, beams: int) -> list[list[int]]:
        import torch

        longest = max(map(len, ids))
        padded = torch.tensor([each + [0] * (longest - len(each)) for each in ids])
        mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in ids])
        least = {} if new is None else {"min_new_tokens": new}
        with torch.inference_mode():
            made = self._model.generate(
                padded, attention_mask=mask, max_new_tokens=new or MOST, do_sample=False, num_beams=beams, **least
            )
        return [row[1:] for row in made.tolist()]


def transformers_of(folder: Path, _: Path, threads: int) -> Any:
    import torch
    import transformers

    torch.set_num_threads(threads)
    return Transformers(transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval())


def optimum_of(folder: Path, work: Path, threads: int) -> Any:
    import onnxruntime
    from optimum.onnxruntime import ORTModelForSeq2SeqLM

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return Transformers(ORTModelForSeq2SeqLM.from_pretrained(folder, export=True, session_options=options))


def openvino_of(folder: Path, work: Path, threads: int) -> Any:
    from optimum.intel import OVModelForSeq2SeqLM

    settings = {"INFERENCE_NUM_THREADS": str(threads), "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    return Transformers(OVModelForSeq2SeqLM.from_pretrained(folder, export=True, ov_config=settings))


class CTranslate2:
    """Its translator, whose texts leave a batch when they have their length."""

    _tell: Any = None
    """Takes the row and the number of each token that is made."""

    def __init__(self, folder: Path, work: Path, threads: int, kind: str) -> None:
        import ctranslate2
        from ctranslate2.converters import transformers as converters
        from tokenizers import Tokenizer

        loader = converters.T5Loader
        right = loader.get_model_spec

        def patched(self: Any, model: Any) -> Any:
            # Every T5 of transformers 5 says that it ties its embeddings; another field says whether logits are scaled.
            model.config.tie_word_embeddings = getattr(model.config, "scale_decoder_outputs", True)
            return right(self, model)

        loader.get_model_spec = patched
        target = work / f"ctranslate2-{folder.name}"
        if not target.exists():
            converters.TransformersConverter(str(folder)).convert(str(target))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._model = ctranslate2.Translator(
            str(target), device="cpu", compute_type=kind, inter_threads=1, intra_threads=threads
        )

    def make(self, ids: list[list[int]], new: int | None, beams: int) -> list[list[int]]:
        texts = [[self._tokenizer.id_to_token(each) for each in text] for text in ids]
        least = {} if new is None else {"min_decoding_length": new}
        answers = self._model.translate_batch(
            texts,
            beam_size=beams,
            max_decoding_length=new or MOST,
            max_batch_size=0,
            max_input_length=0,
            return_end_token=True,
            **({"callback": self._ends} if beams == 1 else {}),  # it has none for beams, whose texts leave together
            **least,
        )
        return [[self._tokenizer.token_to_id(piece) for piece in answer.hypotheses[0]] for answer in answers]

    def stops(self, lengths: list[int] | None) -> None:
        """Let each text of the next batch leave when it has its length."""
        self._lengths = lengths

    def as_they_come(self, ids: list[list[int]], new: list[int], due: list[float]) -> dict[str, list[float]]:
        """Seconds from the moment at which each text came until its first token, and until its last."""
        begun_s, waiting = time.perf_counter(), list(range(len(ids)))
        first, whole = [0.0] * len(ids), [0.0] * len(ids)
        while waiting:
            now_s = time.perf_counter() - begun_s
            taken = [place for place in waiting if due[place] <= now_s][:BATCH]
            if not taken:
                time.sleep(max(due[waiting[0]] - now_s, 0.0))
                continue
            waiting = [place for place in waiting if place not in taken]
            lengths = [new[place] for place in taken]
            self.stops(lengths)
            self._tell = lambda row, step, taken=taken, lengths=lengths: _note(
                first, whole, taken[row], step, lengths[row], time.perf_counter() - begun_s - due[taken[row]]
            )
            self.make([ids[place] for place in taken], max(lengths), 1)
        self._tell = None
        return {"first": first, "whole": whole}

    def _ends(self, step: Any) -> bool:
        if self._tell is not None:
            self._tell(step.batch_id, step.step)
        return self._lengths is not None and step.step + 1 >= self._lengths[step.batch_id]


SYSTEMS = {
    "transformers": transformers_of,
    "optimum": optimum_of,
    "openvino": openvino_of,
    "ctranslate2-float32": lambda folder, work, threads: CTranslate2(folder, work, threads, "float32"),
    "ctranslate2-int8": lambda folder, work, threads: CTranslate2(folder, work, threads, "int8"),
}


def answer(system: Any, ids: list[list[int]], new: list[int] | None, end: int, beams: int) -> list[list[int]]:
    """The tokens of each text, made in batches of similar lengths, each text cut to its own."""
    order = sorted(range(len(ids)), key=lambda place: -(new[place] if new else len(ids[place])))
    made: dict[int, list[int]] = {}
    for begin in range(0, len(order), BATCH):
        places = order[begin : begin + BATCH]
        lengths = [new[place] for place in places] if new else None
        if isinstance(system, CTranslate2):
            system.stops(lengths)
        batch = system.make([ids[place] for place in places], max(lengths) if lengths else None, beams)
        for place, tokens in zip(places, batch, strict=True):
            made[place] = tokens[: new[place]] if new else _until(tokens, end)
    return [made[place] for place in range(len(ids))]


def _note(first: list[float], whole: list[float], place: int, step: int, length: int, now_s: float) -> None:
    if step == 0:
        first[place] = now_s
    if step == length - 1:
        whole[place] = now_s


def _until(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens


def main() -> None:
    name, folder, work, threads = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    system = SYSTEMS[name](folder, work, threads)
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "due" in asked:
            print(json.dumps(system.as_they_come(asked["ids"], asked["new"], asked["due"])), file=out, flush=True)
            continue
        begun_s, cpu_s = time.perf_counter(), time.process_time()
        tokens = answer(system, asked["ids"], asked["new"], asked["end"], asked["beams"])
        took = {"seconds": time.perf_counter() - begun_s, "cpu_s": time.process_time() - cpu_s}
        print(json.dumps({**took, "tokens": tokens}), file=out, flush=True)


if __name__ == "__main__":
    main()
