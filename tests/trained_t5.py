"""A T5 of 0.2 million parameters that was trained, with which tests generate: it says each piece of a text by another.

Random weights end no text and have no margin between the two likeliest tokens, so that whether two ways to compute
agree would be chance. It is trained once, and its weights are in `trained/t5`:

    PYTHONPATH=tests python tests/trained_t5.py
"""

from pathlib import Path

import torch
import transformers
from tokenizers import decoders, processors
from trained_tokenizers import SPECIAL_TOKENS, unigram_tokenizer

FOLDER = Path(__file__).parent / "trained" / "t5"
PAD, BEGIN, END, UNKNOWN, MASK = range(5)
LONGEST, NEW_TOKENS = 64, 24
STEPS, BATCH, RATE = 2_400, 64, 3e-3
SHORTEST_TEXT, LONGEST_TEXT = 1, 22


def write_trained_t5(folder: Path, **generation: object) -> Path:
    """Write the checkpoint; `generation` are further defaults of its generation_config.json."""
    model = transformers.T5ForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32)
    model.generation_config.update(**generation)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """The 400 pieces of the other tests, with an end after each text."""
    pieces = unigram_tokenizer()
    pieces.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    pieces.decoder = decoders.Metaspace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        model_max_length=LONGEST,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )


def said_by(vocabulary: int) -> torch.Tensor:
    """By which piece each piece is said: int64 (V,); none by a special one, nor by itself."""
    ordinary = torch.arange(len(SPECIAL_TOKENS), vocabulary)
    return torch.cat([torch.arange(len(SPECIAL_TOKENS)), ordinary.roll(-vocabulary // 3)])


def _batch(vocabulary: int, said: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random texts, their mask, and what is to be said, -100 where nothing counts: int64 (n, L) each."""
    lengths = torch.randint(SHORTEST_TEXT, LONGEST_TEXT + 1, (BATCH, 1))
    pieces = torch.rand(BATCH, vocabulary - len(SPECIAL_TOKENS)).argsort(1)[:, : LONGEST_TEXT + 1]
    pieces = pieces + len(SPECIAL_TOKENS)
    place = torch.arange(LONGEST_TEXT + 1)[None]
    texts = pieces.masked_fill(place > lengths, PAD).masked_fill(place == lengths, END)
    return texts, (place <= lengths).long(), said[texts].masked_fill(place > lengths, -100)


def train() -> None:
    """Write the weights anew."""
    torch.manual_seed(0)
    vocabulary = unigram_tokenizer().get_vocab_size()
    config = transformers.T5Config(
        vocab_size=vocabulary,
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        n_positions=LONGEST,
        pad_token_id=PAD,
        eos_token_id=END,
        decoder_start_token_id=PAD,
    )
    model, said = transformers.T5ForConditionalGeneration(config), said_by(vocabulary)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.1)
    for step in range(STEPS):
        texts, mask, labels = _batch(vocabulary, said)
        loss = model(input_ids=texts, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 199:
            print(step + 1, f"loss {loss.item():.4f}", flush=True)
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=PAD, eos_token_id=END, pad_token_id=PAD, max_new_tokens=NEW_TOKENS
    )
    model.half().save_pretrained(FOLDER)


if __name__ == "__main__":
    train()
