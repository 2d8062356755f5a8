"""What a repository may have been before an export, what others put into it, and what an export into it says."""

from toy_versions import write_version

KILLED = {"the first version": 0, "another version": 1}
"""How many versions there are before an export that is killed."""

FOREIGN = {
    "a hand-made model under the name": "minilm/1/model.onnx",
    "a model of the name of a step": "minilm_head/config.pbtxt",
    "a file in place of a folder": "minilm_encode",
    "another's version 7": "minilm_tokenize/7/model.py",
    "a model of the name that promotions need": "minilm_candidate/config.pbtxt",
}
"""What somebody else made, by its path in the repository."""


def contents(folder):
    return {file: file.read_bytes() if file.is_file() else None for file in folder.rglob("*")}


def refusal_of(error, repository):
    """What another export is refused with; empty where it is done."""
    try:
        write_version(repository)
    except error as refused:
        return str(refused)
    return ""


def put(repository, path):
    """What somebody else made; None where encserve has put something there already."""
    file = repository / path
    if file.exists():
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("not of encserve")
    return file
