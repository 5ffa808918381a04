"""The evaluation set: its form, its size, no repetition."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from translator.text import has_chinese

FILE = Path(__file__).parents[2] / "translator" / "evaluation" / "zh-en.jsonl"
KEYS = ["source", "reference", "group", "document"]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def test_there_are_at_least_a_thousand_pairs_in_two_groups(rows: list[dict[str, str]]) -> None:
    groups = Counter(row["group"] for row in rows)
    assert len(rows) >= 1000
    assert set(groups) == {"daily", "technical"}
    assert min(groups.values()) >= 400


def test_every_line_has_the_same_keys_and_trimmed_text(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert list(row) == KEYS
        assert all(isinstance(value, str) and value == value.strip() and value for value in row.values()), row


def test_sources_are_chinese_and_references_are_not(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert has_chinese(row["source"]), row
        assert not has_chinese(row["reference"]) and re.search("[A-Za-z]", row["reference"]), row


@pytest.mark.parametrize("key", ["source", "reference"])
def test_nothing_occurs_twice(rows: list[dict[str, str]], key: str) -> None:
    assert [text for text, times in Counter(row[key] for row in rows).items() if times > 1] == []


def test_the_sentences_of_a_document_follow_each_other_and_are_of_one_group(rows: list[dict[str, str]]) -> None:
    order = [row["document"] for row in rows]
    runs = [name for index, name in enumerate(order) if index == 0 or order[index - 1] != name]
    assert len(runs) == len(set(runs))
    assert all(row["document"].startswith(row["group"] + "-") for row in rows)


def test_its_description_counts_right(rows: list[dict[str, str]]) -> None:
    text = FILE.with_name("README.md").read_text(encoding="utf-8")
    for group, number in Counter(row["group"] for row in rows).items():
        documents = len({row["document"] for row in rows if row["group"] == group})
        assert f"| {group} | {number} | {documents} |" in text
