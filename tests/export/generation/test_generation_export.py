"""A T5 that generates, from checkpoint to published version."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from passages import PASSAGES
from trained_t5 import NEW_TOKENS

from encserve_export.certificate.limits import GENERATION_LIMITS
from encserve_export.config import ExportConfig, Precision, Runtime
from encserve_export.errors import CheckpointError, InvalidConfig, Unsupported
from encserve_export.export import export
from encserve_export.generation.asked import generates
from encserve_export.generation.asked_step import AskedStep
from encserve_export.generation.certificate import requests
from encserve_export.reference.messages import Asked
from encserve_repository.versions import active_version, certified_manifest, version_config

from .greedy import greedy

TEXTS = [*PASSAGES[:20], *(passage[:15] for passage in PASSAGES[:8]), "", "a"]


def test_what_is_published_is_certified(manifest, published):
    assert (manifest.task, manifest.precision, manifest.engine) == ("text2text-generation", "fp32", "python")
    figures = manifest.parity["figures"]
    assert {name: figure["limit"] for name, figure in figures.items()} == vars(GENERATION_LIMITS[Precision.FP32])
    shares = ("tokens_identical", "argmax_agreement", "beams_as_good", "company_identical")
    assert [figures[name]["measured"] for name in shares] == [1.0, 1.0, 1.0, 1.0]
    assert (figures["nonfinite"]["measured"], figures["beams_as_good"]["texts"]) == (0, 16)
    assert manifest.parity["texts"] == len(manifest.parity["token_counts"]) == 64
    assert manifest.parity["library"].startswith("AutoModelForSeq2SeqLM.generate of transformers 5")
    assert active_version(published, "t5") == 1
    assert certified_manifest(published, version_config(published, "t5", 1)) == manifest
    assert any(path.startswith("t5_generate/1/generate/") for path in manifest.files)


def test_trained_weights_end_texts_by_themselves(manifest):
    made = manifest.parity["output_token_counts"]
    assert sum(count < NEW_TOKENS for count in made) > 10
    assert max(made) == NEW_TOKENS


def test_defaults_are_those_of_the_checkpoint(manifest):
    defaults = manifest.option_defaults
    assert (defaults["max_new_tokens"], defaults["min_new_tokens"]) == (NEW_TOKENS, 0)
    assert (defaults["do_sample"], defaults["top_k"], defaults["stream"]) == (False, 50, False)


def asked(texts, **options):
    return [Asked({"text": [text]}, options) for text in texts]


def test_tokens_are_those_of_transformers_alone_and_in_company(checkpoint, step_folder):
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(checkpoint)
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    most = [3 + 2 * number % 30 for number in range(len(TEXTS))]
    requests = [Asked({"text": [text]}, {"max_new_tokens": count}) for text, count in zip(TEXTS, most, strict=True)]
    with AskedStep(step_folder) as step:
        together, alone = step.make(requests), step.make(requests, one_by_one=True)
    for text, count, made, by_itself in zip(TEXTS, most, together, alone, strict=True):
        inputs = tokenizer(text, return_tensors="pt", truncation=True)
        with torch.inference_mode():
            right = model.generate(inputs.input_ids, max_new_tokens=count)[0, 1:].tolist()
        assert made.tokens == by_itself.tokens == right
        assert made.text == tokenizer.decode(right, skip_special_tokens=True)
        assert made.finish == ("eos" if right[-1] == tokenizer.eos_token_id else "length")


def test_no_texts_are_answered_by_none(step_folder):
    with AskedStep(step_folder) as step:
        assert step.make([]) == []


def test_beams_are_those_of_transformers_alone_and_beside_texts_without_them(checkpoint, step_folder):
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(checkpoint)
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    settings = {"num_beams": 4, "length_penalty": 2.0, "no_repeat_ngram_size": 2}
    searched = asked(TEXTS[:12], **settings)
    likeliest = asked(TEXTS[12:24])
    with AskedStep(step_folder) as step:
        mixed = [each for pair in zip(searched, likeliest, strict=True) for each in pair]
        together, alone = step.make(mixed), step.make(mixed, one_by_one=True)
    assert [made.tokens for made in together] == [made.tokens for made in alone]
    for text, made in zip(TEXTS, together[::2], strict=False):
        inputs = tokenizer(text, return_tensors="pt", truncation=True)
        with torch.inference_mode():
            right = model.generate(inputs.input_ids, **settings)[0, 1:].tolist()
        assert made.tokens == right
        assert made.text == tokenizer.decode(right, skip_special_tokens=True)


def test_what_is_drawn_depends_on_the_seed_alone(step_folder):
    with AskedStep(step_folder) as step:
        requests = [*asked(TEXTS, do_sample=True, seed=1), *asked(TEXTS, do_sample=True, seed=2)]
        together, alone = step.make(requests), step.make(requests, one_by_one=True)
    assert [made.tokens for made in together] == [made.tokens for made in alone]
    half = len(TEXTS)
    assert [made.tokens for made in together[:half]] != [made.tokens for made in together[half:]]


@pytest.mark.parametrize("changes", [{"top_k": 5}, {"top_p": 0.7}, {"temperature": 0.6}, {"top_k": 20, "top_p": 0.9}])
def test_logits_are_changed_as_by_transformers(changes):
    from encserve_server.steps.generate.texts.choice import Choice

    processors = transformers.LogitsProcessorList()
    if "temperature" in changes:
        processors.append(transformers.TemperatureLogitsWarper(changes["temperature"]))
    if "top_k" in changes:
        processors.append(transformers.TopKLogitsWarper(changes["top_k"]))
    if "top_p" in changes:
        processors.append(transformers.TopPLogitsWarper(changes["top_p"]))
    for seed in range(20):
        logits = np.random.default_rng(seed).normal(0, 3, 50).astype(np.float32)
        right = processors(None, torch.from_numpy(logits)[None].double()).softmax(-1)[0].numpy()
        tokens, probabilities = Choice(ends=(), drawn=True, **changes).candidates(logits)
        ours = np.zeros(50)
        ours[tokens] = probabilities
        assert ours == pytest.approx(right, abs=1e-9)


def changed(checkpoint, folder, file, **changes):
    """A copy of the checkpoint with other values in one of its files."""
    shutil.copytree(checkpoint, folder)
    stated = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**stated, **changes}))
    return folder


def export_of(folder, repository, **options):
    given = {"checkpoint": str(folder), "name": "t5", "repository": repository}
    return export(ExportConfig(**(given | options)))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"num_beam_groups": 2}, "says num_beam_groups 2, which is not offered"),
        ({"encoder_repetition_penalty": 1.2}, "says encoder_repetition_penalty 1.2"),
        ({"length_penalty": -20.0}, "says length_penalty -20.0"),
        ({"max_time": 2.0}, "says max_time 2.0"),
        ({"suppress_tokens": [7]}, r"says suppress_tokens \[7\]"),
        ({"bad_words_ids": [[7, 8]]}, r"says bad_words_ids \[\[7, 8\]\]"),
        ({"num_beams": 2, "do_sample": True}, "says do_sample True with num_beams 2"),
    ],
)
def test_what_would_generate_other_texts_is_refused(checkpoint, tmp_path, changes, complaint):
    folder = changed(checkpoint, tmp_path / "changed", "generation_config.json", **changes)
    with pytest.raises(Unsupported, match=complaint):
        export_of(folder, tmp_path / "models")
    assert not (tmp_path / "models" / "t5").exists()


def test_a_checkpoint_may_not_want_more_tokens_than_it_allows(checkpoint, tmp_path):
    folder = changed(checkpoint, tmp_path / "a", "generation_config.json", min_new_tokens=999)
    with pytest.raises(CheckpointError, match=f"asks for 999 new tokens at least, but texts have {NEW_TOKENS} at most"):
        export_of(folder, tmp_path / "models")


def test_a_checkpoint_whose_texts_are_long_is_asked_for_short_ones():
    defaults = greedy(max_new_tokens=142, min_new_tokens=80, do_sample=True)
    assert requests.options_for(defaults) == {"max_new_tokens": 64, "min_new_tokens": 64, "do_sample": False}


def test_a_checkpoint_must_say_how_texts_begin(checkpoint, tmp_path):
    folder = changed(checkpoint, tmp_path / "a", "generation_config.json", decoder_start_token_id=None)
    with pytest.raises(CheckpointError, match="decoder_start_token_id is None"):
        export_of(folder, tmp_path / "models")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"precision": Precision.FP16}, "--precision fp16 is not offered for text2text-generation"),
        ({"precision": None}, "--precision auto is not offered"),
        ({"precision": Precision.BF16, "runtime": Runtime.ONNXRUNTIME}, "--precision bf16 .* is not offered"),
        ({"engine": "onnxruntime"}, "--engine onnxruntime is not offered"),
        ({"pairs": True}, "--pairs is not offered"),
        ({"token_budget": 64}, "--token-budget is not offered"),
        ({"limits": {"cosine_min": 0.5}}, "no such limit; the limits are tokens_identical"),
    ],
)
def test_options_that_are_not_offered_are_refused_by_name(checkpoint, tmp_path, options, complaint):
    with pytest.raises(InvalidConfig, match=complaint):
        export_of(checkpoint, tmp_path / "models", **options)


def test_other_families_are_refused_by_name(tmp_path):
    config = transformers.LEDConfig(vocab_size=50, d_model=8, encoder_layers=1, decoder_layers=1)
    config.architectures = ["LEDForConditionalGeneration"]
    config.save_pretrained(tmp_path / "led")
    with pytest.raises(Unsupported, match="model type 'led' is not supported"):
        export_of(tmp_path / "led", tmp_path / "models", task="text2text-generation")


def test_what_makes_vectors_does_not_generate_whatever_it_was_trained_from(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["T5ForConditionalGeneration"]}))
    config = ExportConfig(checkpoint=str(tmp_path), name="tiny")
    assert generates(config)
    (tmp_path / "modules.json").write_text("[]")
    assert not generates(config)
    assert generates(replace(config, task="text2text-generation"))
