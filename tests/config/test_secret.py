"""Secrets are read from where they lie, and shown by nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.config.secret import Secret, check_source, read
from release.errors import ManifestError


def test_a_secret_hides_itself_in_every_way_of_printing() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {{'k': {secret}}}"
    assert secret.reveal() == "hunter2"


def test_a_file_s_last_line_end_is_no_part_of_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("hunter2\n")
    assert read("KEY", f"file:{path}") == Secret("hunter2")


def test_the_environment_is_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "hunter2")
    assert read("KEY", "env:A_KEY").reveal() == "hunter2"


def test_a_source_that_is_not_there_says_how_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ManifestError, match="export NOT_SET"):
        read("KEY", "env:NOT_SET")
    with pytest.raises(ManifestError, match="create the file"):
        read("KEY", f"file:{tmp_path}/none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="not UTF-8 text"):
        read("KEY", f"file:{tmp_path}/binary")


def test_a_fingerprint_tells_a_change_and_depends_on_the_salt() -> None:
    assert Secret("a").fingerprint("s") == Secret("a").fingerprint("s")
    assert len({Secret("a").fingerprint("s"), Secret("b").fingerprint("s"), Secret("a").fingerprint("t")}) == 3


@pytest.mark.parametrize("source", ["hunter2", "file:relative", "env:", "vault:x", "file:/a\nb"])
def test_a_value_in_place_of_a_source_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="file"):
        check_source(source)
