"""docs/kubernetes.md: its commands render with the values that it shows, and its figures are those of the tests."""

import re
import shlex

import pytest
from helm_chart import ROOT, helm
from manifest_rules import RULES
from value_sets import OF_NEW_CLUSTERS, REFUSED, VALUE_SETS, certificate

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line
    for language, code in BLOCKS
    if language == "bash"
    for line in code.replace("\\\n", " ").splitlines()
    if line.startswith("helm ")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_render_with_its_values(line, tmp_path):
    values, manifest = tmp_path / "values.yaml", tmp_path / "manifest.json"
    values.write_text(next(code for language, code in BLOCKS if language == "yaml"))
    manifest.write_text(certificate("sm_89"))
    line = line.replace("model_repository/minilm/1/manifest.json", str(manifest)).replace("values.yaml", str(values))
    _, verb, *arguments = shlex.split(line)
    assert verb in ("install", "upgrade")
    chart = arguments.index("deploy/kubernetes/encserve")
    assert "kind: Deployment" in helm("template", *arguments[:chart], ROOT / arguments[chart], *arguments[chart + 1 :])


def test_there_are_commands():
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("values", [code for language, code in BLOCKS if language == "yaml"])
def test_its_values_fit(values, tmp_path):
    (tmp_path / "values.yaml").write_text(values)
    helm("template", "encserve", ROOT / "deploy/kubernetes/encserve", "--values", tmp_path / "values.yaml")


def test_its_images_are_built_out_of_stages_that_are_there():
    stages = re.findall(r"^FROM .* AS (\S+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert set(re.findall(r"--target (\S+)", PAGE)) == {"serve", "gateway"} <= set(stages)


def test_the_image_of_models_has_its_models():
    """The root of the tree would send none: .dockerignore leaves them out."""
    (context,) = re.findall(r"docker build -f - .* (\S+)$", PAGE, re.MULTILINE)
    assert context == "model_repository"
    assert not (ROOT / context / ".dockerignore").exists()
    assert f"!{context}" not in (ROOT / ".dockerignore").read_text().splitlines()


def test_its_counts_are_those_of_the_tests():
    counted = (
        f"{len(VALUE_SETS) + len(OF_NEW_CLUSTERS)} sets of values",
        f"{len(REFUSED)} wrong ones",
        f"{len(RULES)} rules",
    )
    assert [each for each in counted if each not in PAGE] == []
