import pytest

from encserve_server.steps.encode.network.intra_op_threads import (
    LARGEST_GRAPH_BY_DEFAULT,
    SETTING,
    copied_bytes,
    intra_op_threads,
)


@pytest.mark.parametrize(
    ("environment", "graph_bytes", "cores", "expected"),
    [
        ({}, 90 * 2**20, 2, 2),
        ({}, 90 * 2**20, 1, 1),
        ({}, 90 * 2**20, 64, 8),
        ({}, LARGEST_GRAPH_BY_DEFAULT + 1, 64, 1),
        ({SETTING: "4"}, LARGEST_GRAPH_BY_DEFAULT + 1, 64, 4),
        ({SETTING: "1"}, 1, 64, 1),
    ],
)
def test_all_cores_but_for_large_graphs_unless_the_operator_says_otherwise(environment, graph_bytes, cores, expected):
    assert intra_op_threads(environment, graph_bytes, cores) == expected


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_an_impossible_number_is_refused(text):
    with pytest.raises(ValueError, match="ENCSERVE_INTRA_OP_THREADS is"):
        intra_op_threads({SETTING: text}, 1, 1)


@pytest.mark.parametrize(("said", "copied"), [({"mapped_bytes": 80}, 30), ({"mapped_bytes": 0}, 110), ({}, 110)])
def test_tables_that_are_mapped_are_no_part_of_a_copy(tmp_path, said, copied):
    (tmp_path / "model.onnx").write_bytes(bytes(20))
    (tmp_path / "model.onnx.data").write_bytes(bytes(90))
    assert copied_bytes(tmp_path, {"graph_sha256": {"model.onnx": "", "model.onnx.data": ""}, **said}) == copied
