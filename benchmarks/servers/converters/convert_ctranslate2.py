"""A checkpoint of BERT's kind as CTranslate2 reads it: python convert_ctranslate2.py CHECKPOINT TARGET."""

import shutil
import sys
from pathlib import Path

from ctranslate2.converters import TransformersConverter

if __name__ == "__main__":
    checkpoint, target = map(Path, sys.argv[1:])
    TransformersConverter(str(checkpoint)).convert(str(target))
    shutil.copyfile(checkpoint / "tokenizer.json", target / "tokenizer.json")
