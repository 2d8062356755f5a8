"""The example that trains a classifier: what it prints, and that serving gives the very accuracy of training."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "train_classifier.py"
CHANCE = 0.25


@pytest.mark.slow
def test_the_served_accuracy_is_that_of_training(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--folder", tmp_path], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "80 messages to train on, 40 held out, labels: account, billing, delivery, fault" in done.stdout
    trained, served = re.findall(r"held-out accuracy, .*: (\d+) of 40", done.stdout)
    assert trained == served
    assert int(trained) / 40 > 3 * CHANCE
    assert (tmp_path / "checkpoint" / "model.safetensors").is_file()
    assert (tmp_path / "model_repository" / "support" / "config.pbtxt").is_file()
