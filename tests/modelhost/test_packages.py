"""What a service on modelhost needs is what `pip install '.[modelhost]'` brings."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
# An engine is its service's own choice; with FastAPI and pydantic come the packages that they stand on.
NOT_OURS = {"torch", "starlette", "anyio", "pydantic-core"}


def _declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["modelhost"]]
    return {_canonical(re.split(r"[<>=~!\[; ]", line)[0]) for line in wanted}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported() -> Iterator[str]:
    for path in (ROOT / "modelhost").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
                yield node.module.split(".")[0]


def test_every_package_that_modelhost_imports_comes_with_the_extra() -> None:
    theirs = {name for name in _imported() if name not in sys.stdlib_module_names and name != "modelhost"}
    distributions = packages_distributions()
    needed = {_canonical(distributions[name][0]) for name in theirs} - NOT_OURS
    assert {"fastapi", "xxhash", "safetensors"} <= needed
    assert needed <= _declared()


def test_the_server_that_the_documentation_starts_comes_with_the_extra() -> None:
    text = (ROOT / "docs" / "modelhost.md").read_text()
    run = set(re.findall(r"python -m ([a-z]+)[ .]", text)) - {"modelhost", "pip"}
    assert run == {"uvicorn"} <= _declared()
    assert "pip install '.[modelhost]'" in text
