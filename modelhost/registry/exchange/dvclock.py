"""Which outputs of a DVC pipeline somebody means: `dvc.lock` has each stage's, with the digests of its last run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhost.errors import InvalidRequest
from modelhost.registry.exchange.draft import optional

_NAMED = re.compile(r"(?P<folder>(?:.*?/)?)dvc\.(?:lock|yaml)(?::(?P<wanted>.+))?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """`path` of the `dvc.lock`, and the `name` of a stage or the path of an output in it; None where none is said."""

    path: Path
    name: str | None


def wanted(pointer: Path) -> Wanted | None:
    """What `pipelines/dvc.lock:models/m` means, or `dvc.yaml:train`, as DVC writes it; None where it is no pipeline."""
    found = _NAMED.fullmatch(pointer.as_posix())
    return Wanted(Path(found["folder"]) / "dvc.lock", found["wanted"]) if found else None


def outputs(which: Wanted) -> list[dict[str, Any]]:
    """The outputs that are meant: one by its path, or all of a stage, or the only one there is.

    Raises InvalidRequest for a file that cannot be read, for a name that is not there and where it takes one.
    """
    stages = _stages(which.path)
    every = [output for found in stages.values() for output in found]
    if which.name is None:
        if len(every) == 1:
            return every
        raise InvalidRequest(f"{which.path} has {len(every)} outputs: say which", _there_is(which.path, stages))
    by_path = [output for output in every if _same(output["path"], which.name)]
    if not by_path and which.name not in stages:
        raise InvalidRequest(
            f"no stage and no output of {which.path} is called {which.name!r:.200}", _there_is(which.path, stages)
        )
    return by_path or stages[which.name]


def _stages(path: Path) -> Mapping[str, list[dict[str, Any]]]:
    """Stage → its outputs, each with a path. In DVC's first format the stages are the whole file."""
    yaml = optional("yaml", "PyYAML")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        stages = content["stages"] if "schema" in content else content
        found = {str(name): [dict(out) for out in stage.get("outs", [])] for name, stage in stages.items()}
        if not all("path" in output for outputs in found.values() for output in outputs):
            raise KeyError("path")
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(
            f"{path} cannot be read as DVC's record of a pipeline: {error}", "dvc repro writes it"
        ) from error
    return found


def _same(path: object, name: str) -> bool:
    return Path(str(path)) == Path(name)


def _there_is(path: Path, stages: Mapping[str, list[dict[str, Any]]]) -> str:
    if not any(stages.values()):
        return "there is none: run dvc repro first"
    told = [f"{name} ({', '.join(str(out['path']) for out in found)})" for name, found in stages.items() if found]
    name, (first, *_) = next((name, found) for name, found in stages.items() if found)
    return f"there is {'; '.join(told)[:600]}; write {path.name}:{first['path']}, or {path.name}:{name} for all of it"
