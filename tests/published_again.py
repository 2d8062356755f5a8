"""Versions that are published again: under another number, or with changed files as the certified ones."""

import hashlib
import json
import shutil


def copy_version(repository, name, version, new, *, steps=("tokenize", "encode", "head")):
    """Publish a version again under another number, as an export of the same checkpoint would."""
    models = [name, *(f"{name}_{step}" for step in steps)]
    for model in models:
        shutil.copytree(repository / model / str(version), repository / model / str(new))
    manifest = repository / name / str(new) / "manifest.json"
    content = json.loads(manifest.read_text())
    content["version"] = new
    content["files"] = {path.replace(f"/{version}/", f"/{new}/"): sha256 for path, sha256 in content["files"].items()}
    manifest.write_text(json.dumps(content))
    config = manifest.with_name("config.pbtxt")
    old = sha256_of(repository / name / str(version) / "manifest.json")
    text = config.read_text().replace(old, sha256_of(manifest))
    config.write_text(
        text.replace(f"versions: {version}\n", f"versions: {new}\n").replace(
            f"model_version: {version}\n", f"model_version: {new}\n"
        )
    )


def certify_again(repository, name, version, *files):
    """Make changed files the certified ones."""
    manifest = repository / name / str(version) / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"] |= {file.relative_to(repository).as_posix(): sha256_of(file) for file in files}
    old = sha256_of(manifest)
    manifest.write_text(json.dumps(content))
    for config in (manifest.with_name("config.pbtxt"), repository / name / "config.pbtxt"):
        config.write_text(config.read_text().replace(old, sha256_of(manifest)))


def sha256_of(file):
    """Digest of a file's bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
