"""Texts of many kinds, and answers of transformers to them where it has no pipeline for a task."""

import torch
import transformers

TEXTS = [
    "The harbour lights went out one by one.",
    "",
    "lol that movie was sooo bad 😂😂 don't waste ur money...",
    "Le chat de la voisine dort toute la journée, cafe\u0301 \u0301x.",
    "国際宇宙ステーションは地球を約90分で一周し",
    "مكتبة المدينة مفتوحة من التاسعة صباحا",
    "one line\r\nanother\nand\ta third\r last",
    "x",
    "Patients received 2.5 mg/kg of the compound twice daily for 14 days (n = 48, p < 0.001). " * 4,
]


def cut(tokenizer):
    return {"truncation": True, "max_length": tokenizer.model_max_length}


def spans_by_hand(pipeline_folder, question, context, *, max_answer_length=15, overlap=32):
    """Every span of a context that begins and ends with a word, with its highest score in any window, and the score of
    no answer: as the evaluation of SQuAD does it, written out."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(pipeline_folder)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(pipeline_folder)
    windows = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=64,
        stride=overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    spans, none = {}, 1.0
    for window in range(len(windows["input_ids"])):
        inputs = {
            key: torch.tensor([windows[key][window]]) for key in ("input_ids", "token_type_ids") if key in windows
        }
        with torch.inference_mode():
            output = model(**inputs)
        sequences, words = windows.sequence_ids(window), windows.word_ids(window)
        places = windows["offset_mapping"][window]
        inside = [index for index, sequence in enumerate(sequences) if sequence == 1]
        p_start = dict(zip([0, *inside], output.start_logits[0, [0, *inside]].softmax(-1).tolist(), strict=True))
        p_end = dict(zip([0, *inside], output.end_logits[0, [0, *inside]].softmax(-1).tolist(), strict=True))
        none = min(none, p_start[0] * p_end[0])
        for first in inside:
            for last in inside:
                if first <= last < first + max_answer_length:
                    begin = min(places[i][0] for i in inside if words[i] == words[first])
                    end = max(places[i][1] for i in inside if words[i] == words[last])
                    score = p_start[first] * p_end[last]
                    spans[begin, end] = max(score, spans.get((begin, end), 0))
    return spans, none, len(windows["input_ids"])
