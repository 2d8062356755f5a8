"""A small Marian and a small M2M100 as their checkpoints bring them, without a `tokenizer.json`."""

import fcntl
import shutil
import warnings
from dataclasses import dataclass, field

import transformers
from listed_tokenizers import trained, write_m2m100, write_marian
from passages import PASSAGES
from small_generators import write_generator

from encserve_export.config import ExportConfig
from encserve_export.export import export


@dataclass(frozen=True)
class Translation:
    """A translation, as a request asks for it and as transformers does."""

    options: dict[str, str]
    """Of a request."""
    tokenizer: dict[str, str] = field(default_factory=dict)
    """Of the tokenizer of transformers."""
    prompt: str = ""
    """Before the text."""
    target: str = ""
    """The language whose token begins what is made; none without it."""


TRANSLATIONS = {
    "marian": Translation({"prompt_name": "fra"}, prompt=">>fra<< "),
    "m2m_100": Translation({"source_language": "fr", "target_language": "en"}, {"src_lang": "fr"}, target="en"),
}
_WRITE = {"marian": write_marian, "m2m_100": write_m2m100}


def write_listed_generator(folder, family):
    """Write a checkpoint of a family below a folder, with pieces that are trained there. Returns where it is."""
    slow = _WRITE[family](folder / "parts", trained(PASSAGES * 5, "unigram", vocab_size=300), model_max_length=64)
    vocabulary = len(slow.encoder) + len(getattr(slow, "lang_code_to_id", ()))
    return write_generator(folder / "checkpoint", family, slow, vocabulary=vocabulary, max_length=12)


def published_listed(family, exports):
    """A repository with a family as the pipeline of that name, exported once for a run, and its checkpoint."""
    folder = exports / f"listed-{family}"
    with (exports / f"exporting-{family}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "models" / family).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            checkpoint = write_listed_generator(folder, family)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # sacremoses is recommended, by which transformers reads no text
                export(ExportConfig(checkpoint=str(checkpoint), name=family, repository=folder / "models"))
    return folder / "models", folder / "checkpoint"


class Library:
    """transformers with a checkpoint, whose texts are the right ones."""

    def __init__(self, checkpoint, translation):
        self._model = transformers.AutoModelForSeq2SeqLM.from_pretrained(checkpoint).eval()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint, **translation.tokenizer)
        self._prompt = translation.prompt
        target = translation.target
        self._begin = {"forced_bos_token_id": self._tokenizer.get_lang_id(target)} if target else {}

    def source(self, text):
        """The tokens (1, s) of a text."""
        return self._tokenizer(self._prompt + text, return_tensors="pt", truncation=True, max_length=64).input_ids

    def tokens(self, text, **options):
        """The tokens that are made of it, behind that with which all begin."""
        return self._model.generate(self.source(text), **self._begin, **options)[0, 1:].tolist()

    def text(self, text, **options):
        """The text that is made of it, without a language."""
        languages = {*getattr(self._tokenizer, "lang_code_to_id", {}).values()}
        written = [token for token in self.tokens(text, **options) if token not in languages]
        return self._tokenizer.decode(written, skip_special_tokens=True)
