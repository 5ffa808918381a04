"""The pages docs/modelhost*.md: links lead somewhere, and what they show of the configuration can be taken over."""

from __future__ import annotations

import ast
import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelhost.config.load import parse

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("modelhost*.md"))
WHO_LINK = [
    *PAGES,
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CHANGELOG.md",
    ROOT / "translator" / "README.md",
]
LINK = re.compile(r"(?<!`)\[[^\]]+\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
GIVEN = re.compile(r'<a id="([^"]+)"></a>')
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Around a piece of a configuration: what it names has to be somewhere.
AROUND = {"registry": {"root": "models"}, "components": {"model": {}, "tokenizer": {}, "phrases": {}}}


def _anchors(page: Path) -> set[str]:
    """Those of the headings, as GitHub makes them, and those that the page gives."""
    text = FENCED.sub("", page.read_text())
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text))
    return {*headings, *GIVEN.findall(text)}


def _links(page: Path) -> list[tuple[str, str]]:
    found = LINK.findall(FENCED.sub("", page.read_text()))
    return [(path, anchor) for path, anchor in found if not path.startswith(("http://", "https://"))]


@pytest.mark.parametrize("page", WHO_LINK, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_pages_and_sections_that_there_are(page: Path) -> None:
    lost = []
    for path, anchor in _links(page):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            lost.append(f"{path}#{anchor}")
    assert not lost, lost


def test_each_page_is_reached_from_the_first() -> None:
    first = ROOT / "docs" / "modelhost.md"
    reached = {(first.parent / path).resolve() for path, _ in _links(first) if path}
    assert {*PAGES} - {first} <= reached


def test_no_anchor_is_given_twice() -> None:
    for page in PAGES:
        given = GIVEN.findall(page.read_text())
        assert len(set(given)) == len(given), page


def _pieces() -> list[str]:
    return list(chain.from_iterable(YAML.findall(page.read_text()) for page in PAGES))


def test_there_are_pieces_of_configuration() -> None:
    assert len(_pieces()) > 5


@pytest.mark.parametrize("piece", _pieces())
def test_a_piece_of_configuration_can_be_taken_over(piece: str, tmp_path: Path) -> None:
    said: dict[str, Any] = yaml.safe_load(piece)
    sets = {"translation": ["model", "tokenizer"]} if "translation" in said.get("routing", {}) else {}
    whole = {**AROUND, **({"sets": sets} if sets else {}), **said}
    settings = parse(yaml.safe_dump(whole, allow_unicode=True), "modelhost.yaml", {"HOSTNAME": "here"}, tmp_path)
    assert set(said) <= settings.model_fields_set


def test_pieces_of_code_can_be_read() -> None:
    pieces = list(chain.from_iterable(PYTHON.findall(page.read_text()) for page in PAGES))
    assert len(pieces) > 5
    for piece in pieces:
        ast.parse(piece)
