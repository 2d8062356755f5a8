"""Nothing that others made is ever touched, whatever an export finds or leaves."""

import shutil
from pathlib import Path

import pytest
from repositories import FOREIGN, KILLED, contents, put, refusal_of
from toy_versions import check_loadable, every_model_is_whole, killed_at, step_config, write_version

from encserve_repository.activation import surplus
from encserve_repository.config_text import pin_versions, to_text
from encserve_repository.errors import InTheWay
from encserve_repository.layout import STEPS
from encserve_repository.publication.staging import publish, staged_version
from encserve_repository.versions import active_config

MODELS = [*(f"minilm_{step}" for step in STEPS), "minilm"]

PUT_IN = {
    "a file": lambda path: path.write_text("x"),
    "a link": lambda path: path.symlink_to("/etc/hostname"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "an empty folder": lambda path: path.mkdir(),
    "a folder": lambda path: shutil.copytree(Path(__file__).parent, path, ignore=lambda *_: ["__pycache__"]),
}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads


@pytest.mark.parametrize("path", FOREIGN.values(), ids=FOREIGN)
def test_what_others_made_is_named_before_anything_is_done(path, repository):
    repository.mkdir()
    foreign = put(repository, path)
    before = contents(repository)
    with (
        pytest.raises(InTheWay, match=r"touches nothing that it did not make") as refused,
        staged_version(repository, "minilm"),
    ):
        pytest.fail("the checkpoint would have been read")
    assert str(repository / Path(path).parts[0]) in str(refused.value)
    assert contents(repository) == before
    foreign.unlink()
    shutil.rmtree(repository)
    write_version(repository)


@pytest.mark.parametrize("path", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("already", KILLED.values(), ids=KILLED)
def test_what_others_made_is_untouched_in_each_state_of_an_interrupted_export(already, path, memory):
    moves = ("rename", "unlink")
    change, named = 0, 0
    while True:
        repository = memory / str(change) / "models"
        for _ in range(already):
            write_version(repository)
        if not killed_at(change, lambda repository=repository: write_version(repository), moves):
            break
        change += 1
        foreign = put(repository, path)
        if foreign is None:
            continue
        message = refusal_of(InTheWay, repository)
        assert not message or str(repository / Path(path).parts[0]) in message
        named += bool(message)
        assert foreign.read_text() == "not of encserve"
        foreign.unlink()
        for folder in list(foreign.parents)[:2]:
            if folder != repository and repository in folder.parents and not any(folder.iterdir()):
                folder.rmdir()
        write_version(repository)
        check_loadable(repository)
        every_model_is_whole(repository)
    assert change > 5
    assert named > 1 or already


@pytest.mark.parametrize("put_in", PUT_IN.values(), ids=PUT_IN)
def test_whatever_others_put_into_what_an_interrupted_export_left_is_named_and_untouched(put_in, repository):
    write_version(repository)
    assert killed_at(4, lambda: write_version(repository), ("rename",))
    half = repository / "minilm_tokenize/2"
    (half / "__pycache__").mkdir()
    (half / "__pycache__/model.cpython-312.pyc").write_bytes(b"of Python")
    put_in(half / "notes")
    with pytest.raises(InTheWay, match="minilm_tokenize/2/notes is not of encserve"):
        write_version(repository)
    notes = half / "notes"
    assert notes.is_symlink() or notes.exists()
    shutil.rmtree(notes) if notes.is_dir() else notes.unlink()
    write_version(repository)
    assert check_loadable(repository) == 2


def test_what_appears_while_a_version_is_made_is_untouched(repository):
    write_version(repository)
    with staged_version(repository, "minilm") as staged:
        foreign = put(repository, "minilm_head/2/model.py")
        with pytest.raises(InTheWay, match="minilm_head/2 is no version"):
            publish(staged, {model: active_config(repository, model) for model in MODELS})
    assert foreign.read_text() == "not of encserve"


def test_the_versions_that_an_ensemble_of_others_names_stay_on_offer(repository):
    """As does what else they made: it is not narrowed."""
    write_version(repository)
    theirs = active_config(repository, "minilm")
    theirs.name = "theirs"
    theirs.parameters.clear()
    theirs.ensemble_scheduling.step.add(model_name="resnet", model_version=1)
    theirs.ensemble_scheduling.step.add(model_name="minilm_head", model_version=-1)
    for config in (theirs, step_config("resnet", 1)):
        pin_versions(config, [1, 2] if config.name == "resnet" else [1])
        (repository / config.name / "1").mkdir(parents=True)
        (repository / config.name / "config.pbtxt").write_text(to_text(config))
    write_version(repository)
    pinned = {model: list(active_config(repository, model).version_policy.specific.versions) for model in MODELS}
    assert pinned == {"minilm_tokenize": [1, 2], "minilm_encode": [1, 2], "minilm_head": [2], "minilm": [2]}
    assert surplus(repository) == set()
