"""The benchmark set's format, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.checks import cases
from release.errors import UsageError


def load(tmp_path: Path, text: str) -> cases.CaseSet:
    (tmp_path / "c.jsonl").write_text(text, encoding="utf-8")
    return cases.load(tmp_path, "c.jsonl")


def test_cases_groups_and_documents_are_read_and_blank_lines_left_out(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        '\ufeff{"source": "a", "reference": "A", "group": "g", "document": "d1"}\n\n'
        '{"source": "b", "reference": "B", "group": "g", "document": "d1"}\r\n'
        '{"source": "c", "reference": "C", "group": "h", "document": "d1"}\n'
        '{"source": "d\u2028e", "reference": "D"}\n{"source": "f", "reference": "F"}',
    )
    assert [case.source for case in found.cases] == ["a", "b", "c", "d\u2028e", "f"]
    assert found.groups == {"g": [0, 1], "h": [2]}
    # A document's name counts within its group; a case without one is a unit of its own.
    assert found.units([0, 1, 2, 3, 4]) == [0, 0, 1, 2, 3]
    assert found.units([4, 1]) == [0, 1]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: not a JSON object"),
        ('{"source": "a"}', "line 2: 'reference' has to be a text"),
        ('{"source": " ", "reference": "A"}', "line 2: 'source' has to be a text"),
        ('{"source": "a", "reference": 3}', "line 2: 'reference' has to be a text"),
        ('{"source": "a", "reference": "A", "group": 3}', "line 2: 'group' has to be a text"),
        ('{"source": "a", "reference": "A", "Group": "g"}', "line 2: unknown key 'Group'"),
    ],
)
def test_an_unusable_line_is_named_with_file_and_number(tmp_path: Path, line: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, '{"source": "a", "reference": "A"}\n' + line + "\n")
    assert f"c.jsonl, {what}" in caught.value.message


def test_a_missing_or_empty_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.jsonl does not exist"):
        cases.load(tmp_path, "nothing.jsonl")
    with pytest.raises(UsageError, match="holds no case"):
        load(tmp_path, "\n\n")
    (tmp_path / "c.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not readable as UTF-8"):
        cases.load(tmp_path, "c.jsonl")


def test_a_folder_is_read_file_by_file_and_its_digest_follows_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "b.jsonl").write_text('{"source": "b", "reference": "B"}\n')
    (folder / "a.jsonl").write_text('{"source": "a", "reference": "A"}\n')
    (folder / "notes.txt").write_text("not a case")
    found = cases.load(tmp_path, "set")
    assert [case.source for case in found.cases] == ["a", "b"]
    (folder / "b.jsonl").write_text('{"source": "b", "reference": "C"}\n')
    assert cases.load(tmp_path, "set").digest != found.digest
    (folder / "b.jsonl").write_text("{}")
    with pytest.raises(UsageError, match=r"set/b\.jsonl, line 1"):
        cases.load(tmp_path, "set")
