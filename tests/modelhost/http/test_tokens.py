"""Tokens lie hashed, are printed once, and are found again in constant time; a change of the file counts at once."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from modelhost.errors import Conflict, Unavailable, Unknown
from modelhost.http import tokens
from modelhost.http.roles import Caller, Role


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.jsonl"


def test_a_token_is_found_and_its_secret_is_not_in_the_file(file: Path) -> None:
    token = tokens.add(file, "ann", Role.OPERATOR)
    assert tokens.Tokens(file).caller(token) == Caller("ann", Role.OPERATOR)
    secret = token.split("_", 2)[2]
    assert secret not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_no_token_is_nobodys(file: Path) -> None:
    token = tokens.add(file, "ann", Role.ADMIN)
    known = tokens.Tokens(file)
    for wrong in (
        "",
        "mh",
        "mh__",
        token[:-1],
        token + "x",
        token.replace("mh_", "xx_"),
        "mh_000000000000_x",
        "\udcff",
    ):
        assert known.caller(wrong) is None, wrong


def test_a_token_that_is_taken_away_opens_nothing_any_more(file: Path) -> None:
    token = tokens.add(file, "ann", Role.ADMIN)
    tokens.add(file, "bob", Role.VIEWER)
    known = tokens.Tokens(file)
    assert known.caller(token)
    assert known.caller(token)  # from memory
    tokens.remove(file, "ann")
    assert known.caller(token) is None
    with pytest.raises(Unknown, match="bob"):
        tokens.remove(file, "ann")


def test_the_same_secret_has_another_hash_in_another_line(file: Path) -> None:
    tokens.add(file, "ann", Role.ADMIN)
    tokens.add(file, "bob", Role.ADMIN)
    one, other = (json.loads(line) for line in file.read_text().splitlines())
    assert one["salt"] != other["salt"]
    with pytest.raises(Conflict):
        tokens.add(file, "ann", Role.VIEWER)


def test_a_file_that_cannot_be_read_opens_nothing_not_even_to_whom_it_knew(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = tokens.add(file, "ann", Role.ADMIN)
    known = tokens.Tokens(file)
    assert known.caller(token)
    whole = file.read_bytes()
    file.write_bytes(whole + b"{}\n")
    with caplog.at_level("ERROR"), pytest.raises(Unavailable):
        known.caller(token)
    assert "line 2" in caplog.text
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(Unavailable):
        known.caller(token)
    file.unlink()
    caplog.clear()
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"tokens\.jsonl"):
            known.caller(token)
    assert len(caplog.records) == 1, "once, and not for each request"
    file.write_bytes(whole)
    assert known.caller(token), "it is there again"


def test_the_command_prints_a_token_once(file: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "modelhost.http.tokens", "--file", str(file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    token = run("add", "annika", "operator").stdout.strip()
    assert tokens.Tokens(file).caller(token) == Caller("annika", Role.OPERATOR)
    listed = run("list").stdout
    assert "annika\toperator" in listed
    assert token not in listed
    assert run("add", "annika", "viewer").returncode == 1
    assert "no role" not in run("add", "bob", "viewer").stderr
    refused = run("add", "eve", "boss")
    assert refused.returncode == 2 and "'boss' is no role; there are viewer, operator, admin" in refused.stderr
    assert run("remove", "annika").returncode == 0
    assert "annika" not in run("list").stdout


@pytest.mark.parametrize("verb", [["list"], ["remove", "annika"]])
def test_a_file_that_is_not_there_is_no_list_of_nobody(file: Path, verb: list[str]) -> None:
    command = [sys.executable, "-m", "modelhost.http.tokens", "--file", str(file.with_name("other.jsonl")), *verb]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "other.jsonl is not there: name the file with --file" in asked.stderr
    assert not [path.name for path in file.parent.iterdir() if "other" in path.name]
