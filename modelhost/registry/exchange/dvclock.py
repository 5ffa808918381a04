"""Which outputs of a DVC pipeline somebody means: `dvc.lock` has each stage's, with the digests of its last run. Their
paths are meant from the stage's folder, its `wdir`, which `dvc.yaml` alone has."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhost.errors import InvalidRequest
from modelhost.registry.exchange.draft import optional

WDIR = "wdir"
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
    """The outputs that are meant: one by its path, or all of a stage, or the only one there is. `wdir` of each is the
    folder that its path is meant from, itself from that of the `dvc.lock`.

    Raises InvalidRequest for a file that cannot be read, for a name that is not there and where it takes one.
    """
    stages = _stages(which.path)
    every = [output for found in stages.values() for output in found]
    if which.name is None:
        if len(every) == 1:
            return every
        raise InvalidRequest(f"{which.path} has {len(every)} outputs: say which", _there_is(which.path, stages))
    by_path = [output for output in every if _same(Path(output[WDIR], output["path"]), which.name)]
    by_path = by_path or [output for output in every if _same(output["path"], which.name)]
    if not by_path and which.name not in stages:
        raise InvalidRequest(
            f"no stage and no output of {which.path} is called {which.name!r:.200}", _there_is(which.path, stages)
        )
    return by_path or stages[which.name]


def _stages(path: Path) -> Mapping[str, list[dict[str, Any]]]:
    """Stage → its outputs, each with a path and its stage's folder. In DVC's first format the stages are the file."""
    yaml = optional("yaml", "PyYAML")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        stages = content["stages"] if "schema" in content else content
        folder = _folders(path.with_name("dvc.yaml"))
        found = {
            str(name): [{**out, WDIR: folder(str(name))} for out in stage.get("outs", [])]
            for name, stage in stages.items()
        }
        if not all("path" in output for outputs in found.values() for output in outputs):
            raise KeyError("path")
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(
            f"{path} cannot be read as DVC's record of a pipeline: {error}", "dvc repro writes it"
        ) from error
    return found


def _folders(path: Path) -> Callable[[str], str]:
    """Stage → its folder; its own where the file does not say. Of several stages that one of the file stands for
    (`foreach`, `matrix`), each has its key behind an @."""
    yaml = optional("yaml", "PyYAML")
    try:
        stages = dict(yaml.safe_load(path.read_text("utf-8"))["stages"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        stages = {}

    def folder(name: str) -> str:
        of_many, _, key = name.rpartition("@")
        stage = stages.get(name, stages.get(of_many))
        if isinstance(stage, dict):
            stage = stage.get("do", stage)
        said = stage.get(WDIR) if isinstance(stage, dict) else None
        return str(said or ".").replace("${item}", key).replace("${key}", key)

    return folder


def _same(path: object, name: str) -> bool:
    return Path(os.path.normpath(str(path))) == Path(os.path.normpath(name))


def _there_is(path: Path, stages: Mapping[str, list[dict[str, Any]]]) -> str:
    if not any(stages.values()):
        return "there is none: run dvc repro first"
    told = [f"{name} ({', '.join(str(out['path']) for out in found)})" for name, found in stages.items() if found]
    name, (first, *_) = next((name, found) for name, found in stages.items() if found)
    return f"there is {'; '.join(told)[:600]}; write {path.name}:{first['path']}, or {path.name}:{name} for all of it"
