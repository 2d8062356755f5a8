"""A T5 of 0.2 million parameters that was trained, with which tests generate: it begins with the last piece of a text,
and goes on by steps through the vocabulary, as wide as that piece says, until it meets one that ends it.

Random weights end no text and have no margin between the two likeliest tokens, so that whether two ways to compute
agree would be chance. What linear layers read has noise while it is trained, as precisions make it: without, the
network that stood here before answered a change of a thousandth in what it read by logits that were off by one standard
deviation. It is trained once, and its weights are in `trained/t5`:

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
STEPS, BATCH, RATE = 1_000, 16, 5e-3
SHORTEST_TEXT, LONGEST_TEXT = 1, 16
SHIFTS = torch.tensor([1, 57, 130])
"""By how many places the pieces of a text are apart, by what its last piece leaves when divided by three."""
ENDS_EVERY = 16
"""After a piece whose number is a multiple of this a text ends."""
REPEATED, UNKNOWN_SHARE = 0.4, 0.1
"""Of the pieces of a text, the share that are among three which come again and again, and of unknown ones in it."""
NOISE = 0.03
"""Of what a linear layer reads while it is trained, over its root mean square."""


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


def _next(classes: torch.Tensor, before: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """The token after each of `before`, in texts of these classes: int64 (n,) each."""
    first = len(SPECIAL_TOKENS)
    following = (before - first + SHIFTS[classes]) % (vocabulary - first) + first
    return following.masked_fill(before % ENDS_EVERY == 0, END)


def _batch(vocabulary: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random texts, their mask, and what is to be said, -100 where nothing counts: int64 (n, L) each."""
    first = len(SPECIAL_TOKENS)
    lengths = torch.randint(SHORTEST_TEXT, LONGEST_TEXT, (BATCH, 1))
    pieces = torch.randint(first, vocabulary, (BATCH, LONGEST_TEXT))
    often = torch.randint(first, vocabulary, (BATCH, 3)).gather(1, torch.randint(3, pieces.shape))
    strange = torch.rand(pieces.shape)
    pieces = pieces.where(strange > REPEATED, often).masked_fill(strange < UNKNOWN_SHARE, UNKNOWN)
    place = torch.arange(LONGEST_TEXT)[None]
    texts = pieces.masked_fill(place > lengths, PAD).masked_fill(place == lengths, END)
    last = pieces.gather(1, lengths - 1)[:, 0]
    classes, said = last % len(SHIFTS), [(last - first) % (vocabulary - first) + first]
    while len(said) < NEW_TOKENS:
        said.append(_next(classes, said[-1].masked_fill(said[-1] == END, ENDS_EVERY), vocabulary))
    labels = torch.stack(said, 1)
    over = (labels == END).cumsum(1) - (labels == END).long() > 0
    return texts, (place <= lengths).long(), labels.masked_fill(over, -100)


def _noise(module: torch.nn.Module, read: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """What a linear layer reads, with such an error as rounding makes."""
    (states,) = read
    return (states + NOISE * states.detach().square().mean(-1, keepdim=True).sqrt() * torch.randn_like(states),)


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
    model = transformers.T5ForConditionalGeneration(config)
    hooks = [
        module.register_forward_pre_hook(_noise) for module in model.modules() if isinstance(module, torch.nn.Linear)
    ]
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.1)
    for step in range(STEPS):
        texts, mask, labels = _batch(vocabulary)
        loss = model(input_ids=texts, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            print(step + 1, f"loss {loss.item():.4f}", flush=True)
    for hook in hooks:
        hook.remove()
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=PAD, eos_token_id=END, pad_token_id=PAD, max_new_tokens=NEW_TOKENS
    )
    model.half().save_pretrained(FOLDER)


if __name__ == "__main__":
    train()
