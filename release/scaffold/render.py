"""Findings to the text of the files that `release init` writes. Pure: the templates are part of this package."""

from __future__ import annotations

import json
import re
from pathlib import Path

from release.config.document import plain
from release.scaffold.findings import Findings

MANIFEST = "release.yaml"
WORKFLOW = ".github/workflows/release.yml"
_TEMPLATES = {MANIFEST: "release.yaml.j2", WORKFLOW: "workflow.yml.j2"}
_CLEAN = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./-]*")
_FOLDER = Path(__file__).parent / "templates"


def render(findings: Findings) -> dict[str, str]:
    """The files by their path in the repository."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        autoescape=False,  # YAML, not HTML; `text` and `comment` escape
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # GitHub's own expressions are written with the usual marks.
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
    )
    environment.filters |= {"text": _text, "comment": _comment}
    return {path: environment.get_template(name).render(found=findings) for path, name in _TEMPLATES.items()}


def _text(value: str) -> str:
    """A YAML scalar that reads back as this text; quoted only where it has to be."""
    return value if _CLEAN.fullmatch(value) and plain(value) == value else json.dumps(value, ensure_ascii=False)


def _comment(value: str) -> str:
    """One line that ends no comment."""
    return " ".join("".join(char if char.isprintable() else " " for char in value).split())
