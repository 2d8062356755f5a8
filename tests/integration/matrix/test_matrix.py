"""Family x task on a real Triton server, against transformers and sentence-transformers.

By default five families with a task each; with `--matrix all` every family with every task, which takes half an hour.
"""

import pytest
from export.families.checkpoints import CASES

from encserve_export.attention.families import FAMILIES
from encserve_export.checkpoint.tasks.table import TASKS
from encserve_export.errors import Unsupported

from . import table
from .cells import SAMPLE, TOKENIZERS, network_class, reads_decoder
from .comparisons import COMPARISONS

pytestmark = pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")


@pytest.mark.parametrize("task", SAMPLE)
def test_each_of_the_sample(task, sample):
    assert sample.largest_difference(SAMPLE[task], task) < 1e-4


@pytest.mark.slow
def test_cell(matrix_case, task, request):
    case, served = matrix_case
    try:
        if network_class(case, task) is None:
            cell = table.NO_HEAD
        elif reads_decoder(case, task):
            with pytest.raises(Unsupported, match="reads each text with a decoder"):
                served.largest_difference(case, task)
            cell = table.DECODER
        else:
            cell = f"{served.largest_difference(case, task):.0e}"
    except Exception as error:
        cell = table.reason(error)
        raise
    finally:
        if request.config.getoption("--update-models"):
            table.put(case, task, cell)


def test_the_sample_has_every_tokenizer_and_way_to_run():
    assert SAMPLE.keys() < COMPARISONS.keys() == TASKS.keys()
    assert {CASES[case][2] for case in SAMPLE.values()} == TOKENIZERS.keys()
    assert {FAMILIES[case].padded for case in SAMPLE.values()} == {True, False}


def test_the_table_is_whole():
    """docs/models.md has every family and every task, and says `no head` exactly where transformers has none."""
    cells = table.read()
    assert table.FILE.read_text(encoding="utf-8") == table.text(cells)
    assert cells.keys() == {(case, task) for case in CASES for task in TASKS}
    for (case, task), cell in cells.items():
        if cell != table.NOT_RUN:
            assert (cell == table.NO_HEAD) == (network_class(case, task) is None), (case, task)
            decoder = network_class(case, task) is not None and reads_decoder(case, task)
            assert (cell == table.DECODER) == decoder, (case, task)
