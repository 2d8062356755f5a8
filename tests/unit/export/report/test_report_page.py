"""The page of a certificate from manifests alone: what is relaxed is said, and many texts do not make it large."""

import re

import pytest

from encserve_export.publication.siblings import Published
from encserve_export.report.page import render_report


def speed_of(tokens_per_s, against="fp32 on python"):
    """What a manifest says of the speed of what was made; that of the other way is 2,000."""
    ways = {"made": {"tokens_per_s": tokens_per_s, "ratio": tokens_per_s / 2000}}
    return {"way": "made", "against": against, "hardware": "a <machine>", "ways": ways}


@pytest.fixture
def published(tmp_path):
    (tmp_path / "model.onnx").write_bytes(bytes(2_500_000))

    def with_texts(version, token_counts, **parity):
        figures = {
            "cosine_min": {"measured": 0.9991, "limit": 0.999, "at_least": True, "texts": 64},
            "max_abs_diff": {"measured": 0.01, "limit": 0.03, "at_least": False, "texts": 1200},
        }
        manifest = {
            "name": "tiny<b>",
            "version": version,
            "precision": "int8" if version > 1 else "fp32",
            "engine": "python",
            "runtime": {"name": "onnxruntime"},
            "checkpoint": {"source": "a checkpoint", "architecture": "BertModel", "revision": None},
            "task": "feature-extraction",
            "dimensions": 384,
            "limits": {"max_length": 256},
            "files": {"config.pbtxt": "0" * 64},
            "made": {"layers": [{"layer": "encoder.first", "precision": "fp32", "error": 0.0}]} if version > 1 else {},
            "parity": {
                "texts": len(token_counts),
                "library": "sentence-transformers 6",
                "figures": figures,
                "relaxed": [],
                "corpus": {"part": "certificate", "texts": 1200, "sha256": "a1" * 32},
                "arithmetic": "measured",
                "measured_on": "cpu",
                "hardware": "2 cores of <a processor>",
                "token_counts": token_counts,
                "max_abs_diff_by_text": [number * 1e-6 for number in range(len(token_counts))],
                **parity,
            },
        }
        return Published(manifest=manifest, network_folder=tmp_path)

    return with_texts


def test_what_probabilities_are_worth_is_drawn(published):
    def side(error, score):
        bins = [{"score": score, "right": 0.7, "low": 0.6, "high": 0.8}]
        return {
            "calibration_error": {"measured": error, "by_chance": 0.03},
            "log_loss": 0.5,
            "bins": bins,
        }

    texts = {"fitted": 200, "held_out": 100, "sha256": "0" * 64}
    confidence = {"temperature": 1.5, "texts": texts, "before": side(0.2, 0.9), "after": side(0.02, 0.7)}
    page = render_report([published(1, [2, 3], confidence=confidence)])
    assert "Temperature 1.500, fitted on 200 texts, and what it is worth on 100 others" in page
    assert "<td>probability</td><td>0.020</td><td>0.030</td><td>0.500</td>" in page
    assert "Reliability" in page
    assert "Reliability" not in render_report([published(1, [2, 3])])


def test_a_relaxed_limit_is_called_relaxed(published):
    page = render_report([published(1, [2, 3], relaxed=["cosine_min"])])
    assert '<td>cosine_min</td><td>0.9991</td><td class="bad">at least 0.999, relaxed</td><td>64</td>' in page
    assert "<td>max_abs_diff</td><td>0.01</td><td>at most 0.03</td><td>1,200</td>" in page


def test_it_says_what_was_measured_on_what(published):
    page = render_report([published(1, [2, 3])])
    assert (
        "measured on 2 texts, of the certificate part of the corpus with sha256 a1a1a1a1a1a1, on the CPU; 2 cores"
        in page
    )
    assert "emulated" not in page
    assert "held-out" not in page
    assert "on the CPU, which rounds as the GPU that it is for (emulated)" in render_report(
        [published(1, [2, 3], arithmetic="emulated")]
    )


def test_an_encoder_that_a_checkpoint_names_is_named_too(published):
    shown = published(1, [2, 3])
    assert "a checkpoint, BertModel" in render_report([shown])
    shown.manifest["checkpoint"]["base"] = {"source": "somebody/encoder", "revision": "0123456789abcdef"}
    assert "a checkpoint, on somebody/encoder at 0123456789ab, BertModel" in render_report([shown])


def test_figures_of_held_out_texts_are_shown(published):
    figures = {"cosine_mean": {"measured": 0.9876, "limit": 0.98, "at_least": True, "texts": 77}}
    page = render_report([published(1, [2, 3], held_out={"texts": 77, "figures": figures}, relaxed=["cosine_mean"])])
    assert "Parity on 77 held-out texts of --calibration" in page
    assert '<td>cosine_mean</td><td>0.9876</td><td class="bad">at least 0.98, relaxed</td><td>77</td>' in page


def test_of_many_texts_the_worst_of_each_length_is_drawn(published):
    many = [1 + number % 256 for number in range(3_000)]
    page = render_report([published(2, many), published(1, many), published(3, many)])
    assert len(page) < 200_000
    assert len(re.findall(r"<title>tiny&lt;b&gt; 2: int8, python with onnxruntime: \d+ tokens, ", page)) == 256
    assert "2: int8, python with onnxruntime: 1 tokens, 0.00282" in page, "text 2,816 is the worst of those of length 1"
    assert len(re.findall("<circle", render_report([published(1, many[:300])]))) == 300


def test_one_pipeline_has_one_colour_in_every_figure(published):
    siblings = [published(1, [2]), published(2, [3])]
    for each in siblings:
        each.manifest["speed"] = speed_of(2000.0 * each.manifest["version"])
    page = render_report(siblings)
    lengths, layers, sizes, speeds = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    second = 'series-1{}">tiny&lt;b&gt; 2: int8'
    assert f'<span class="key {second.format("")}' in lengths
    assert f'<span class="key {second.format("")}' in layers
    assert '<g class="dots series-1 ring"><circle' in layers, "the layer stays in FP32"
    assert [re.findall(r'<rect class="(series-\d)"', each) for each in (sizes, speeds)] == [
        ["series-0", "series-1"]
    ] * 2
    assert "2.00 x" in speeds
    assert "against fp32 on python, each" in speeds.replace(":", ",")
    assert "on a &lt;machine&gt;. What" in speeds


def test_speeds_against_another_way_are_not_beside_each_other(published):
    siblings = [published(1, [2]), published(2, [3]), published(3, [3])]
    for each, against in zip(siblings, ["fp32 on python", "fp32 on onnxruntime", "fp32 on python"], strict=True):
        each.manifest["speed"] = speed_of(1000.0 * each.manifest["version"], against=against)
    *_, speeds = re.findall(r"<figure>.*?</figure>", render_report(siblings), re.DOTALL)
    assert re.findall(r'<rect class="(series-\d)"', speeds) == ["series-0", "series-2"]


def test_pipelines_stand_beside_each_other(published):
    siblings = [published(1, [2]), published(2, [3])]
    siblings[0].manifest["speed"] = speed_of(1500.0)
    page = render_report(siblings)
    assert "<tr><th></th><th>tiny&lt;b&gt; 1: fp32, python with onnxruntime</th>" in page
    assert "<td>MB</td><td>2.5</td><td>2.5</td>" in page
    assert "<td>tokens/s where it was made</td><td>1,500</td><td></td>" in page, "the other was not measured"
    assert "<td>cosine_min</td><td>0.9991</td><td>0.9991</td>" in page
