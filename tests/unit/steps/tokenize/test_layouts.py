"""The layouts beyond single texts and pairs, on a tokenizer of whole words."""

import tracemalloc

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from trained_tokenizers import byte_level_tokenizer

from encserve_server.steps.request.options import InvalidArgument
from encserve_server.steps.tokenize.limits import Limits
from encserve_server.steps.tokenize.rows.windows import count_windows, windows_of
from encserve_server.steps.tokenize.tokenization import Tokenization

WORDS = ["[CLS]", "[SEP]", "[UNK]", "[MASK]", *(f"w{number}" for number in range(20))]
CLS, SEP, UNKNOWN, MASK = range(4)
LIMITS = {"max_length": 9, "max_texts_per_request": 4, "max_tokens_per_request": 40, "max_bytes_per_text": 100}

FILL, SCORE = {"score_texts": False}, {"score_texts": True}


@pytest.fixture
def tokenizer():
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken("[MASK]", special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    return tokenizer


def lay(tokenizer, layout, options, *, limits=(), prompts=(), settings=(), **inputs):
    settings = {
        **dict(settings),
        "layout": layout,
        "limits": {**LIMITS, **dict(limits)},
        "prompts": dict(prompts),
        "tensors": ["token_type_ids"],
        "marks_subwords": False,
        "unknown_id": UNKNOWN,
        "mask_id": MASK,
        "mask_token": "[MASK]",
    }
    tokenization = Tokenization(tokenizer, settings)
    options = {"truncate": "end", **options}
    raw = {name: [text.encode() for text in texts] for name, texts in inputs.items()}
    (answer,) = tokenization.tokenize([(tokenization.read(raw, options), options)])
    if isinstance(answer, InvalidArgument):
        raise answer
    return answer


def words(*numbers):
    return [WORDS.index(f"w{number}") for number in numbers]


def rows(answer):
    return [row.tolist() for row in np.split(answer["input_ids"], np.cumsum(answer["lengths"])[:-1])]


class TestSingleTexts:
    PROMPTS = {"prompts": {"query": "w7 "}, "settings": {"leaves_out_prompt": True}}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("options", "left_out"),
        [({}, 0), ({"prompt": ""}, 0), ({"prompt_name": "query"}, 2), ({"prompt": "w8 w9 "}, 3)],
    )
    def test_tokens_of_a_prompt_are_told(self, tokenizer, options, left_out):
        answer = lay(tokenizer, "single_texts", options, text=["w1 w2", ""], **self.PROMPTS)
        masks = np.split(answer["pooling_mask"], np.cumsum(answer["lengths"])[:-1])
        for mask in masks:
            assert mask.tolist() == [0] * left_out + [1] * (len(mask) - left_out)

    def test_a_prompt_that_is_left_out_does_not_go_with_windows(self, tokenizer):
        text = " ".join(f"w{number}" for number in range(12))
        options = {"long_text": "chunk", "overlap": 0}
        with pytest.raises(InvalidArgument, match="long_text is 'chunk', which does not go with a prompt"):
            lay(tokenizer, "single_texts", options | {"prompt_name": "query"}, text=[text], **self.PROMPTS)
        answer = lay(tokenizer, "single_texts", options | {"prompt": ""}, text=[text], **self.PROMPTS)
        assert answer["window_count"].tolist() == [2]
        assert answer["pooling_mask"].all()

    def test_a_prompt_that_leaves_no_token_is_refused(self, tokenizer):
        complaint = "text 0 has no token .* beside a prompt of 8 tokens that is left out; max_length is 9"
        with pytest.raises(InvalidArgument, match=complaint):
            lay(tokenizer, "single_texts", {"prompt": "w8 " * 8}, text=["w1"], **self.PROMPTS)
        answer = lay(tokenizer, "single_texts", {"prompt": "w8 " * 7}, text=["w1"], **self.PROMPTS)
        assert answer["pooling_mask"].tolist() == [0] * 8 + [1]  # of the special token behind it

    def test_a_prompt_that_is_written_out(self, tokenizer):
        answer = lay(
            tokenizer,
            "single_texts",
            {"prompt": "w8 ", "prompt_name": "query"},
            prompts=[("query", "w7 ")],
            text=["w1"],
        )
        assert answer["input_ids"].tolist() == [CLS, *words(8, 1), SEP]
        assert "pooling_mask" not in answer


class TestTaggedTexts:
    def test_tokens_keep_their_places(self, tokenizer):
        answer = lay(tokenizer, "tagged_texts", {}, text=["💰 w1  w2", ""])
        assert answer["offsets"].tolist() == [[-1, -1], [0, 1], [2, 4], [6, 8], [-1, -1], [-1, -1], [-1, -1]]
        assert answer["continues"].tolist() == [0] * 7

    def test_pieces_of_a_byte_level_vocabulary_continue_a_word_unless_a_space_is_before_them(self):
        answer = lay(byte_level_tokenizer(), "tagged_texts", {}, text=["the zebra"])  # t he Ġ z e b ra
        assert answer["continues"].tolist() == [0, 1, 0, 0, 1, 1, 1]

    def test_places_are_of_the_whole_text_whichever_end_is_cut(self, tokenizer):
        text = " ".join(f"w{number}" for number in range(10))
        answer = lay(tokenizer, "tagged_texts", {"truncate": "start"}, text=[text])
        assert answer["offsets"][1:-1].tolist() == [[3 * n, 3 * n + 2] for n in range(3, 10)]
        assert answer["dropped_count"].tolist() == [3]

    def test_tokens_of_a_prompt_have_no_place(self, tokenizer):
        options, prompts = {"prompt_name": "ask"}, {"ask": "w9 💰 "}
        answer = lay(tokenizer, "tagged_texts", options, prompts=prompts, text=["💰 w1"])
        assert rows(answer) == [[CLS, *words(9), UNKNOWN, UNKNOWN, *words(1), SEP]]
        assert answer["offsets"].tolist() == [[-1, -1], [-1, -1], [-1, -1], [0, 1], [2, 4], [-1, -1]]

    def test_a_token_that_two_windows_share_is_placed_once(self, tokenizer):
        text = " ".join(f"w{number}" for number in range(17))
        options = {"long_text": "chunk", "overlap": 3}
        answer = lay(tokenizer, "tagged_texts", options, text=[text, "w1"])
        assert answer["window_count"].tolist() == [4, 1]
        assert rows(answer)[1] == [CLS, *words(4, 5, 6, 7, 8, 9, 10), SEP]
        starts = answer["offsets"][:, 0]
        assert starts[starts >= 0].tolist() == [*(text.index(f"w{number}") for number in range(17)), 0]
        assert answer["row_count"].tolist() == [answer["lengths"][:4].sum(), 3]
        assert answer["token_count"].tolist() == [19, 3]
        assert answer["dropped_count"].tolist() == [0, 0]

    def test_windows_that_would_not_advance(self, tokenizer):
        with pytest.raises(InvalidArgument, match="option overlap is 7; a window holds 7 tokens of text"):
            lay(tokenizer, "tagged_texts", {"long_text": "chunk", "overlap": 7}, text=["w1"])


class TestContextWindows:
    def test_windows_overlap_and_cover_the_context(self, tokenizer):
        context = " ".join(f"w{number}" for number in range(10))
        answer = lay(tokenizer, "context_windows", {"overlap": 2}, text=["w19"], text_pair=[context, "w1"])
        assert rows(answer) == [
            [CLS, *words(19), SEP, *words(0, 1, 2, 3, 4), SEP],
            [CLS, *words(19), SEP, *words(3, 4, 5, 6, 7), SEP],
            [CLS, *words(19), SEP, *words(6, 7, 8, 9), SEP],
            [CLS, *words(19), SEP, *words(1), SEP],
        ]
        assert answer["window_count"].tolist() == [3, 1]
        assert answer["token_count"].tolist() == [14, 5]
        assert answer["dropped_count"].tolist() == [0, 0]
        assert answer["offsets"][9 + 3].tolist() == [9, 11]  # w3 of the second window, in the context
        assert answer["token_type_ids"][:9].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]

    @pytest.mark.parametrize(
        ("question", "context", "message"),
        [
            ("w1", "", "text_pair 0 is empty"),
            ("w1", " ", "text_pair 0 is empty"),
            ("w1 w2 w3 w4 w5 w6", "w1", "text 0 has 6 tokens and leaves 0 of max_length 9 to its context"),
            ("w1 w2 w3 w4", "w1 w2 w3", "leaves 2 of .* more than overlap, 2, is needed"),
            ("w1", "w1 " * 30, "the request has .* tokens; max_tokens_per_request is 40"),
        ],
    )
    def test_refused(self, tokenizer, question, context, message):
        with pytest.raises(InvalidArgument, match=message):
            lay(tokenizer, "context_windows", {"overlap": 2}, text=[question], text_pair=[context])


class TestMaskedTexts:
    def test_masks_are_found(self, tokenizer):
        answer = lay(tokenizer, "masked_texts", FILL, text=["w1 [MASK]", "[MASK] w2 [MASK]"])
        assert answer["mask_at"].tolist() == [2, 5, 7]
        assert answer["mask_at"].dtype == np.int64
        assert answer["mask_count"].tolist() == [1, 2]
        assert answer["target_id"].tolist() == [-1, -1, -1]

    def test_each_token_of_a_text_to_score_is_masked_in_a_copy(self, tokenizer):
        answer = lay(tokenizer, "masked_texts", SCORE, text=["w1 w2", "", "w3"])
        assert rows(answer) == [
            [CLS, MASK, *words(2), SEP],
            [CLS, *words(1), MASK, SEP],
            [CLS, MASK, SEP],
            [CLS, MASK, SEP],
        ]
        assert answer["mask_at"].tolist() == [1, 6, 9, 12]
        assert answer["mask_count"].tolist() == [2, 0, 1]
        assert answer["target_id"].tolist() == [*words(1, 2), -1, *words(3)]
        assert answer["token_count"].tolist() == [4, 2, 3]
        assert answer["dropped_count"].tolist() == [0, 0, 0]

    def test_a_text_is_cut_before_it_is_copied(self, tokenizer):
        settings = {"max_texts_per_request": 7, "max_tokens_per_request": 63}
        text = "w1 w2 w3 w4 w5 w6 w7 w8 w9"
        answer = lay(tokenizer, "masked_texts", SCORE | {"truncate": "start"}, limits=settings, text=[text])
        assert answer["target_id"].tolist() == words(3, 4, 5, 6, 7, 8, 9)
        assert (answer["token_count"].tolist(), answer["dropped_count"].tolist()) == ([9], [2])

    @pytest.mark.parametrize(
        ("texts", "limits", "message"),
        [
            (["w1", "w2 [MASK]"], {}, r"text 1 has a \[MASK\]; a text without is expected where score_texts is true"),
            (["w1 w2 w3", "w4 w5"], {}, "5 tokens to score, .*; max_texts_per_request is 4"),
            (["w1 w2 w3 w4"], {"max_tokens_per_request": 23}, "24 tokens; max_tokens_per_request is 23"),
        ],
    )
    def test_a_text_that_cannot_be_scored(self, tokenizer, texts, limits, message):
        with pytest.raises(InvalidArgument, match=message):
            lay(tokenizer, "masked_texts", SCORE, limits=limits, text=texts)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("w1", r"text 0 has no \[MASK\]"),
            ("[MASK]" + " w1" * 9 + " [MASK]", r"cut to max_length 9, and 1 of its 2 \[MASK\] with it"),
        ],
    )
    def test_refused(self, tokenizer, text, message):
        with pytest.raises(InvalidArgument, match=message):
            lay(tokenizer, "masked_texts", FILL, text=[text])


class TestHypotheses:
    OPTIONS = {"labels": ["w8", "w9 w9"], "hypothesis_template": "w7 {}"}  # noqa: RUF012 - read only

    def test_each_text_with_each_hypothesis(self, tokenizer):
        answer = lay(tokenizer, "hypotheses", self.OPTIONS, text=["w1", "w1 w2 w3 w4 w5"])
        assert rows(answer) == [
            [CLS, *words(1), SEP, *words(7, 8), SEP],
            [CLS, *words(1), SEP, *words(7, 9, 9), SEP],
            [CLS, *words(1, 2, 3, 4), SEP, *words(7, 8), SEP],
            [CLS, *words(1, 2, 3), SEP, *words(7, 9, 9), SEP],
        ]
        assert answer["token_count"].tolist() == [7, 9]
        assert answer["dropped_count"].tolist() == [0, 2]

    @pytest.mark.parametrize(
        ("texts", "options", "message"),
        [
            (["w1"] * 3, {}, r"has 6 pairs \(3 texts and 2 labels\); max_texts_per_request is 4"),
            (["w1"], {"labels": ["w1 " * 6]}, "label 0 makes a hypothesis of 7 tokens, which leaves no room"),
            (["w1"], {"labels": ["w1", "é" * 2**17]}, "label 1 makes a hypothesis of 262147 bytes; 262144 is the most"),
            (["w1 w1 w1 w1 w1"], {"truncate": "error"}, "text 0 has 11 tokens with its longest hypothesis"),
        ],
    )
    def test_refused(self, tokenizer, texts, options, message):
        with pytest.raises(InvalidArgument, match=message):
            lay(tokenizer, "hypotheses", self.OPTIONS | options, text=texts)


MANY = {"max_length": 512, "max_texts_per_request": 256, "max_tokens_per_request": 16_384, "max_bytes_per_text": 2**18}


@pytest.mark.parametrize("layout", ["single_texts", "tagged_texts", "context_windows"])
def test_windows_of_more_tokens_than_a_request_may_have_are_not_made(layout, tokenizer):
    """Each window but the first would bring one new token, and half a thousand that are repeated."""
    text = {"text_pair" if layout == "context_windows" else "text": ["w1 " * 20_000]}
    if layout == "context_windows":
        text["text"] = ["w1"]
    free = Limits(**MANY).max_length - (4 if layout == "context_windows" else 2)
    options = {"long_text": "chunk", "overlap": free - 1}
    tracemalloc.start()
    with pytest.raises(InvalidArgument, match="tokens; max_tokens_per_request is 16384"):
        lay(tokenizer, layout, options, limits=MANY, **text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20, "19,000 windows of 4 KiB of ids were 80 MB"


@pytest.mark.parametrize(
    ("size", "room", "overlap"), [(5, 5, 4), (6, 5, 4), (17, 5, 0), (17, 5, 3), (20, 5, 3), (3, 5, 9)]
)
def test_how_many_tokens_windows_have_is_known_before_they_are_made(size, room, overlap):
    windows = windows_of(size, room, overlap)
    assert count_windows(size, room, overlap) == len(windows)
    assert size + (len(windows) - 1) * overlap == sum(end - begin for begin, end in windows)
