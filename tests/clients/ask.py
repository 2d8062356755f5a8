"""Runs in the environment of a client: `python ask.py PROGRAM ANSWERS` calls functions of a program, as the JSON of
stdin says, and writes what each returns, or the error that it raised, into the file ANSWERS as JSON."""

import importlib.util
import json
import sys
import warnings
from pathlib import Path


def main() -> None:
    warnings.simplefilter("ignore")  # of other people's packages
    program, answers = sys.argv[1:]
    spec = importlib.util.spec_from_file_location("program", program)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    told = []
    for function, arguments in json.load(sys.stdin):
        try:
            told.append({"returned": getattr(module, function)(**arguments)})
        except Exception as error:
            told.append({"raised": type(error).__name__, "message": str(error)})
    Path(answers).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
