"""Import of a Hugging Face-style directory: config.json, weights, tokenizer files; a snapshot of the hub's cache too.

In that cache (`models--org--name/snapshots/<revision>/…`) the files are links to `blobs/<digest>`. These are followed,
and a blob whose name is a sha256 is checked against it. Nothing is downloaded.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from modelhost.errors import IntegrityError, InvalidRequest, Refused
from modelhost.registry.exchange.draft import Draft, hex_digest, optional

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".msgpack", ".h5")


def read_directory(folder: Path) -> Draft:
    """The files of a model's directory, with `training_data`, `metrics`, `note` and `settings` as far as its card and
    its configuration tell them. Raises InvalidRequest, Refused for links that lead elsewhere, IntegrityError."""
    if not (folder / "config.json").is_file():
        raise InvalidRequest(
            f"{folder} has no config.json", "name a model's directory, or a snapshot in the hub's cache"
        )
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if not path.is_dir()}
    files = {name: path for name, path in files.items() if not _hidden(name)}
    if not any(name.endswith(_WEIGHTS) for name in files):
        raise IntegrityError(f"{folder} has no weights", "download the whole model, not its configuration alone")
    _check_links(folder, files)
    _check_shards(files)
    return Draft({name: path.resolve() for name, path in files.items()}, _describe(files))


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _check_links(folder: Path, files: dict[str, Path]) -> None:
    places = [folder.resolve()]
    if folder.resolve().parent.name == "snapshots":
        places.append(folder.resolve().parent.parent / "blobs")
    for name, path in files.items():
        target = path.resolve()
        if not any(target.is_relative_to(place) for place in places):
            raise Refused(f"{name} in {folder} links to {target}", "copy the file into the directory first")
        if not target.is_file():
            raise IntegrityError(f"{name} in {folder} has no content", "the download broke off: download it again")
        blob = target.name
        if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", blob) and hex_digest(target, "sha256") != blob:
            raise IntegrityError(f"{name} in {folder} is not what was downloaded", "download it again")


def _check_shards(files: dict[str, Path]) -> None:
    for name, path in files.items():
        if not name.endswith(".index.json"):
            continue
        base = name.rpartition("/")[0]
        wanted = {f"{base}/{shard}" if base else shard for shard in _json(path).get("weight_map", {}).values()}
        if missing := sorted(wanted - files.keys()):
            raise IntegrityError(f"{name} names files that are not there: {', '.join(missing)}", "download them too")


def _describe(files: dict[str, Path]) -> dict[str, Any]:
    config = _json(files["config.json"])
    found: dict[str, Any] = {}
    settings = {name: config[name] for name in ("architectures", "model_type") if name in config}
    if settings:
        found["settings"] = settings
    card = _card(files["README.md"]) if "README.md" in files else {}
    datasets = card.get("datasets")
    if isinstance(datasets, str | list):
        found["training_data"] = [datasets] if isinstance(datasets, str) else [str(name) for name in datasets]
    if metrics := _metrics(card):
        found["metrics"] = metrics
    return found


def _card(path: Path) -> dict[str, Any]:
    """The YAML between two lines of dashes at the top of a model's card."""
    match = re.match(r"---\s*\n(.*?)\n---\s*\n", path.read_text("utf-8", "replace"), re.DOTALL)
    if match is None:
        return {}
    yaml = optional("yaml", "PyYAML")
    try:
        card = yaml.safe_load(match.group(1))
    except yaml.YAMLError:
        return {}  # A card is for people; the metadata that it lacks will be asked for.
    return card if isinstance(card, dict) else {}


def _metrics(card: dict[str, Any]) -> dict[str, float]:
    """`model-index` of the card: the value of each metric by its type."""
    found: dict[str, float] = {}
    try:
        for model in card.get("model-index") or []:
            for result in model.get("results") or []:
                for metric in result.get("metrics") or []:
                    value = metric.get("value")
                    if isinstance(value, int | float) and math.isfinite(value):
                        found.setdefault(str(metric["type"]), float(value))
    except (AttributeError, KeyError, TypeError):
        return {}
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise IntegrityError(f"{path} is no JSON: {error}", "download it again") from error
    if not isinstance(content, dict):
        raise IntegrityError(f"{path} is no JSON object", "download it again")
    return content
