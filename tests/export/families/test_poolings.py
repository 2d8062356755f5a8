import json

import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Pooling

from encserve_export.attention.packing import packing_of
from encserve_export.certificate.alone import _MODES
from encserve_export.checkpoint.sentence.modules import read_sentence_modules
from encserve_export.checkpoint.sentence.pooling import POOLINGS

LENGTHS = (5, 1, 12, 3)


def test_every_mode_has_a_reference():
    assert POOLINGS.keys() == _MODES.keys() == set(Pooling.POOLING_MODES)


@pytest.mark.parametrize("mode", POOLINGS)
def test_a_pooling_is_that_of_sentence_transformers(mode):
    states = torch.randn(sum(LENGTHS), 8, generator=torch.Generator().manual_seed(0))  # (T, H)
    texts = states.split(LENGTHS)
    padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=7.0)  # (n, L, H)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]  # (n, L)
    theirs = Pooling(8, mode)({"token_embeddings": padded, "attention_mask": mask.long()})["sentence_embedding"]
    ours = POOLINGS[mode](states, packing_of(torch.tensor(LENGTHS), len(states)))
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.stack([_MODES[mode](text) for text in texts]), theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", POOLINGS)
def test_an_empty_text_harms_no_other(mode):
    states = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    vectors = POOLINGS[mode](states, packing_of(torch.tensor([0, 4, 0, 2, 0]), 6))
    torch.testing.assert_close(vectors[1], _MODES[mode](states[:4]))
    torch.testing.assert_close(vectors[3], _MODES[mode](states[4:]))
    assert vectors.isfinite().all()


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        ({"pooling_mode": "weightedmean"}, "weightedmean"),
        ({"pooling_mode": ["lasttoken"]}, "lasttoken"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}, "max"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len_tokens"),
        ({"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
        ({"pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode_cls_token": False}, "mean"),
    ],
)
def test_both_forms_of_a_pooling_configuration(config, mode, tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 8} | config))
    module = {"idx": 0, "name": "0", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
    (tmp_path / "modules.json").write_text(json.dumps([module]))
    assert read_sentence_modules(tmp_path).pooling == mode
    assert Pooling.load(str(tmp_path / "1_Pooling")).pooling_mode == mode
