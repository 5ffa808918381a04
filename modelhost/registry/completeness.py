"""From what a person says of a version to a valid `VersionInfo`, or to one error that names everything that lacks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from modelhost.errors import IncompleteMetadata
from modelhost.metadata import DATATYPES, Environment, File, VersionInfo

# What is asked for, in the words of whoever publishes.
_ASKED = {
    "component": "component: the name of the part that this is a version of, such as translator",
    "version": "version: a SemVer number, such as 1.2.0",
    "created": "created: when it was made, with a time zone, such as 2026-11-21T12:00:00Z",
    "loader": "loader: who can load it, such as safetensors",
    "note": "note: what changed, in a sentence",
    "metrics": "metrics: what was measured, as numbers, such as {bleu: 31.5}; {} says that nothing was",
    "training_data": "training_data: what it learned from, as a list of names; [] says that it did not learn",
    "environment": "environment: python's version and the packages it was made with, such as "
    "{python: 3.11.7, packages: {torch: 2.13.0}}",
    "preprocessing": "preprocessing: the identity of what happens to an input first, such as sentencepiece/1",
    "postprocessing": "postprocessing: the identity of what happens to an output last, such as detokenize/1",
    "interface": "interface: inputs and outputs (each with name, datatype, shape) and shape, such as translation/1",
    "environment.packages": "environment.packages: the libraries that {files} was made with and is read by, such as "
    "{{torch: 2.13.0, transformers: 5.23.0}}; {{}} says that it takes none",
    "environment.torch": "environment.packages: the torch that {files} was made with, such as {{torch: 2.13.0}}; "
    "nothing else reads it",
    "mates": "mates: component → number or digest of the version of it that this one works with",
    "settings": "settings: what the loader wants to know, as JSON",
    "files": "files: at least one file of weights",
}
# torch alone reads these by name; safetensors are read by many, and whoever publishes knows by which.
_TORCH = re.compile(r"(\.pth?|(^|/)pytorch_model[^/]*\.bin)$", re.IGNORECASE)
_TENSORS = re.compile(r"\.safetensors$", re.IGNORECASE)


def complete(metadata: Mapping[str, Any], files: Sequence[File], found: Sequence[str] = ()) -> VersionInfo:
    """What `version.json` will say. Raises IncompleteMetadata, which names every field that lacks or is wrong, after
    what was `found` to be wrong before."""
    fields = {name: value for name, value in metadata.items() if name != "files"}
    problems = list(found)
    problems += (
        _blank(fields) + _not_numbers(fields) + _not_json(fields) + _unread(fields, [file.path for file in files])
    )
    spoken_for = {problem.split(":")[0] for problem in problems}
    try:
        info = VersionInfo(**fields, files=tuple(files))
    except ValidationError as error:
        problems += _in_words(error, spoken_for)
    else:
        if not problems:
            return VersionInfo.model_validate_json(info.model_dump_json())
    what = f"{metadata.get('component') or 'the version'} {metadata.get('version') or ''}".strip()
    listed = f" {problems[0]}" if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)
    raise IncompleteMetadata(
        f"{what} cannot be published, its metadata lacks or misstates:{listed}",
        "nothing was published; add these and publish again",
    )


def _in_words(error: ValidationError, spoken_for: set[str]) -> list[str]:
    words: dict[str, str] = {}
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        field = str(problem["loc"][0]) if problem["loc"] else ""
        if field in spoken_for:
            continue
        if problem["type"] == "extra_forbidden":
            words[where] = f"{where}: there is no such field{_meant(where)}"
        elif problem["type"] == "missing" and len(problem["loc"]) == 1:
            words[where] = _ASKED[field]
        elif problem["type"] == "missing":
            words[where] = f"{where} is missing ({_ASKED[field]})"
        else:
            words[where] = f"{where} is {_shown(problem['input'])}; what is asked for: {_asked(where, field)}"
    return list(words.values())


def _asked(where: str, field: str) -> str:
    """What a field should hold, without its name."""
    if where.endswith(".datatype"):
        return f"one of {', '.join(DATATYPES)}"
    if where == "interface.shape":
        return "a name and a number, such as translation/1"
    return _ASKED[field].partition(": ")[2]


def _blank(fields: Mapping[str, Any]) -> list[str]:
    names = ("note", "preprocessing", "postprocessing")
    return [_ASKED[name] for name in names if isinstance(fields.get(name), str) and not fields[name].strip()]


def _not_numbers(fields: Mapping[str, Any]) -> list[str]:
    metrics = fields.get("metrics")
    if not isinstance(metrics, Mapping):
        return []
    wrong = [name for name, value in metrics.items() if isinstance(value, float) and not math.isfinite(value)]
    return [f"metrics: {', '.join(map(str, wrong))} is no finite number"] if wrong else []


def _not_json(fields: Mapping[str, Any]) -> list[str]:
    try:
        json.dumps(fields.get("settings", {}), allow_nan=False)
    except (TypeError, ValueError) as error:
        return [f"settings: cannot be written as JSON ({error})"]
    return []


def _unread(fields: Mapping[str, Any], files: Sequence[str]) -> list[str]:
    """Weights that no plain Python reads, of a version that does not say by which libraries they are read."""
    environment = fields.get("environment")
    if isinstance(environment, Environment):
        environment = environment.model_dump(exclude_unset=True)
    if not isinstance(environment, Mapping):
        return []  # all of it lacks, and that is said
    said = environment.get("packages")
    torches = [name for name in files if _TORCH.search(name)]
    if torches and not (isinstance(said, Mapping) and "torch" in said):
        return [_ASKED["environment.torch"].format(files=_few(torches))]
    tensors = [name for name in files if _TENSORS.search(name)]
    return [_ASKED["environment.packages"].format(files=_few(tensors))] if tensors and said is None else []


def _few(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"


def _meant(name: str) -> str:
    close = get_close_matches(name, VersionInfo.model_fields, 1)
    return f", {close[0]} was meant?" if close else f"; the fields are {', '.join(VersionInfo.model_fields)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
