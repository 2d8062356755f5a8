"""A full disk leaves halves of compiled files: they are gone before their version is loaded."""

import py_compile

from encserve_repository.compiled import drop_damaged

CODE = "def answer():\n    return 'an answer that is longer than nothing'\n"


def compiled(repository, model, version, name="code"):
    """The compiled file of a module of a step."""
    source = repository / model / version / "request" / f"{name}.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(CODE)
    return source.parent / "__pycache__" / py_compile.compile(str(source)).rsplit("/", 1)[1]


def test_half_a_compiled_file_goes_and_a_whole_one_stays(tmp_path):
    half, whole, of_another = (compiled(tmp_path, "minilm_encode", "2", name) for name in ("half", "whole", "another"))
    not_asked = compiled(tmp_path, "minilm_encode", "1")
    for file in (half, not_asked):
        file.write_bytes(file.read_bytes()[:-20])
    of_another.write_bytes(b"\x00\x00\r\n" + of_another.read_bytes()[4:-20])
    drop_damaged(tmp_path, {"minilm_encode": 2, "minilm_head": 1})
    assert not half.exists()
    assert whole.exists()
    assert of_another.exists(), "of another Python, which reads it alone"
    assert not_asked.exists()


def test_a_header_alone_goes(tmp_path):
    file = compiled(tmp_path, "minilm_encode", "2")
    file.write_bytes(file.read_bytes()[:16])
    drop_damaged(tmp_path, {"minilm_encode": 2})
    assert not file.exists()
