"""Models as versions of one registry: `python -m translator.bundle REGISTRY` fills one with the bundled ones.

`--models FOLDER` takes those of another folder, or FOLDER itself where it is a model; a service may run meanwhile.
Where the folder has a file SERVE, what that names and what is older is stable; otherwise a version waits for somebody
to promote it.

Each becomes a version of `model`, with its weights as they are and as CTranslate2 computes them; its vocabulary becomes
a version of `tokenizer`, which the model names by digest; what cleans a line is a version of `postprocessing`.
Filling is repeatable: what is there stays.
"""

from __future__ import annotations

import argparse
import fcntl
import getpass
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import semver

from modelhost.errors import ModelHostError, Unknown
from modelhost.metadata import canonical_version
from modelhost.registry.base import Entry, Status
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.environment import running_environment
from modelhost.registry.publish import publish
from translator import metadata, postprocessing, tokenizer
from translator.compiled import compiled
from translator.conversion import COMPILED, digest_of
from translator.errors import StartError
from translator.model import demand_directory
from translator.settings import CHOICE, MODELS, model_folders, served_model

MODEL, TOKENIZER, POSTPROCESSING = "model", "tokenizer", "postprocessing"
COMPONENTS = (MODEL, TOKENIZER, POSTPROCESSING)
MARIAN = "marian"  # the loader of models: whichever engine the settings name
WHO = "the image"
SHAPE = "translation/1"
MADE_WITH = ("transformers", "sentencepiece", "torch", "ctranslate2")
NAME = "name"  # setting of a version: what people call it
PREPROCESSING = "sentences of Marian pieces/1"
CLEANED = "postprocessing.json/1"


def fill(root: Path, folders: Sequence[Path], convert: bool = True, allow_pickle: bool = False, who: str = WHO) -> None:
    """Publish each Marian folder that the registry at `root` lacks; one of another content is refused.

    `convert` False leaves out what CTranslate2 needs. Raises `StartError`.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".filling"):
            _publish_postprocessing(root, who)
            for folder in folders:
                _publish_folder(root, folder, convert, allow_pickle, who)
    except ModelHostError as error:
        raise StartError(f"{root}: {error}") from error
    except OSError as error:
        raise StartError(
            f"the registry {root} cannot be filled ({error}): let it be written, or name one that has versions"
        ) from error


def models_of(folder: Path) -> list[Path]:
    """The models of a folder, or the folder itself where it is one. Raises `StartError` where there is none."""
    found = [folder.resolve()] if (folder / "config.json").is_file() else model_folders(folder)
    if not found:
        raise StartError(f"{folder} has no model: name a Marian directory, such as v1.2.0, or the folder of some")
    return found


def version_of(folder: Path) -> str:
    """The number under which a folder is published: its name where that is one (`v1.1.0`), else 0.0.0+name."""
    try:
        return canonical_version(folder.name)
    except ValueError:
        return "0.0.0+" + (re.sub(r"[^0-9A-Za-z]+", "-", folder.name).strip("-") or "model")


def name_of(entry: Entry) -> str:
    """What people call a version of `model`: the name of the folder that it came from, else `v` and its number."""
    return str(entry.info.settings.get(NAME) or f"v{entry.version}")


def stable_up_to(folders: Sequence[Path], served: Path) -> list[Path]:
    """The served folder and those of lower versions: what a rollback may go to. A higher one has yet to serve."""
    limit = semver.Version.parse(version_of(served))
    return [folder for folder in folders if folder == served or semver.Version.parse(version_of(folder)) < limit]


def mark_stable(root: Path, folders: Sequence[Path], why: str) -> None:
    """Mark versions that nobody has judged yet; a person's word stays. Raises `StartError`."""
    registry = DirectoryRegistry(root)
    try:
        for folder in folders:
            if not any(change.status is not Status.UNSTABLE for change in _changes(registry, MODEL, folder)):
                registry.mark(MODEL, version_of(folder), Status.STABLE, WHO, why)
    except ModelHostError as error:
        raise StartError(f"{root}: {error}") from error


def _changes(registry: DirectoryRegistry, component: str, folder: Path) -> list[Any]:
    return [change for change in registry.log(component) if change.version == version_of(folder)]


def _publish_postprocessing(root: Path, who: str) -> Entry:
    about = {
        "component": POSTPROCESSING,
        "version": "1.0.0",
        "loader": POSTPROCESSING,
        "note": "special tokens, subword marks and spaces",
        "interface": _interface("line", "line", "text/1"),
        "preprocessing": "none",
        "postprocessing": CLEANED,
        **_untrained(),
    }
    return _published(root, {postprocessing.FILE: postprocessing.BUNDLED}, about, who)


def _publish_folder(root: Path, folder: Path, convert: bool, allow_pickle: bool, who: str) -> None:
    weights = demand_directory(folder, allow_pickle)
    registry, version = DirectoryRegistry(root), version_of(folder)
    try:
        there = registry.find(MODEL, version)
    except Unknown:
        there = None
    if there is not None:
        _demand_same(there, weights)
        return
    vocabulary = _publish_tokenizer(root, folder, version, who)
    names = [name for name in ("config.json", "generation_config.json", "README.md") if (folder / name).is_file()]
    files = {name: folder / name for name in (weights.name, *names)}
    with tempfile.TemporaryDirectory() as scratch:
        if convert:
            made = compiled(folder, Path(scratch), allow_pickle)
            files |= {f"{COMPILED}/{path.name}": path for path in made.iterdir()}
        about = {
            "component": MODEL,
            "version": version,
            "loader": MARIAN,
            "note": metadata.note(folder),
            "metrics": metadata.metrics(folder),
            "training_data": metadata.training_data(folder),
            "environment": running_environment(MADE_WITH).model_dump(),
            "preprocessing": PREPROCESSING,
            "postprocessing": CLEANED,
            "interface": _interface("text", "translation", SHAPE),
            "mates": {TOKENIZER: vocabulary.info.digest},
            "settings": {NAME: folder.name},
        }
        _published(root, files, about, who, allow_pickles=[weights.name] if allow_pickle else [])


def _demand_same(entry: Entry, weights: Path) -> None:
    if digest_of(weights) not in {file.sha256 for file in entry.info.files}:
        raise StartError(
            f"{entry.path.parent.parent} has another {name_of(entry)} than {weights.parent}: "
            "a version never changes, so give these weights the next number, or name another TRANSLATOR_REGISTRY"
        )


def _publish_tokenizer(root: Path, folder: Path, version: str, who: str) -> Entry:
    """The vocabulary of a folder: the version that has it already, or a new one that is numbered as the model."""
    files = {name: (folder / name).resolve() for name in tokenizer.FILES if (folder / name).is_file()}
    digests = {name: digest_of(path) for name, path in files.items()}
    registry = DirectoryRegistry(root)
    for entry in registry.versions(TOKENIZER) if TOKENIZER in registry.components() else []:
        if {file.path: file.sha256 for file in entry.info.files} == digests:
            return entry
    about = {
        "component": TOKENIZER,
        "version": version,
        "loader": TOKENIZER,
        "note": f"the vocabulary that came with {folder.name}",
        "interface": _interface("text", "pieces", "pieces/1"),
        "preprocessing": "none",
        "postprocessing": "none",
        **_untrained(),
    }
    return _published(root, files, about, who)


def _published(
    root: Path, files: dict[str, Path], about: dict[str, Any], who: str, allow_pickles: Sequence[str] = ()
) -> Entry:
    entry = publish(root, files, about, who=who, allow_pickles=allow_pickles).entry
    if entry.component != MODEL and entry.status is Status.UNSTABLE:
        DirectoryRegistry(root).mark(entry.component, entry.version, Status.STABLE, who, "came with its model")
    return entry


def _interface(given: str, gives: str, shape: str) -> dict[str, Any]:
    def texts(name: str) -> list[dict[str, Any]]:
        return [{"name": name, "datatype": "BYTES", "shape": [-1]}]

    return {"inputs": texts(given), "outputs": texts(gives), "shape": shape}


def _untrained() -> dict[str, Any]:
    packages = running_environment(MADE_WITH[:2])
    return {"metrics": {}, "training_data": [], "environment": packages.model_dump()}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def caller() -> str:
    """Who runs this, for the registry's log; a container may have a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def main() -> int:
    """Fill a registry; where the folder says what serves, that and what is older is stable."""
    parser = argparse.ArgumentParser(prog="python -m translator.bundle", description=__doc__)
    parser.add_argument("registry", type=Path)
    parser.add_argument("--models", type=Path, default=MODELS, metavar="FOLDER", help="of models, or of one model")
    parser.add_argument("--allow-pickle", action="store_true", help="also take pytorch_model.bin")
    args = parser.parse_args()
    try:
        folders = models_of(args.models)
        served = served_model(args.models) if args.models == MODELS or (args.models / CHOICE).exists() else None
        who = caller() if served is None else WHO
        fill(args.registry, folders, allow_pickle=args.allow_pickle, who=who)
        if served is not None:
            mark_stable(args.registry, stable_up_to(folders, served), "served by this image or before")
    except StartError as error:
        print(f"translator.bundle: {error}", file=sys.stderr)
        return 1
    for component in COMPONENTS:
        for entry in DirectoryRegistry(args.registry).versions(component):
            print(f"{component} {entry.version} {entry.status} {entry.info.bytes} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
