"""What every command has in common: help, errors, exit codes, and JSON that is JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from release.cli import failure
from release.cli.group import COMMANDS
from release.cli.reference import every
from release.errors import Locked
from tests.cli.calling import Call, process

HEAVY = ("pydantic", "rich", "docker", "git", "sqlite3", "yaml", "jinja2", "requests", "release.wiring")


def test_help_names_every_command_and_imports_none_of_them(tmp_path: Path) -> None:
    code = (
        "import sys; from release.cli.main import run; code = run(['--help']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    for name, (_, short) in COMMANDS.items():
        assert name in done.stdout
        assert short[:30] in done.stdout


@pytest.mark.parametrize(("typed", "command"), list(every()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_and_option_has_help_and_takes_the_common_options(
    call: Call, typed: str, command: object
) -> None:
    said = call(*typed.split()[1:], "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: {typed}")
    assert "--json" in said.out and "-C DIR" in said.out
    for parameter in command.params:  # type: ignore[attr-defined]
        if parameter.param_type_name == "option":
            assert parameter.help, f"{typed} {parameter.name}"


def test_the_one_line_help_is_the_first_line_of_the_whole_help() -> None:
    for typed, command in every():
        if typed.count(" ") == 1:
            assert command.help is not None
            assert command.help.splitlines()[0] == COMMANDS[typed.split()[1]][1]


def test_no_arguments_show_the_help_and_are_no_success(call: Call) -> None:
    said = call()
    assert (said.code, said.out) == (2, "")
    assert "release deploy v1.2.0" in said.err


@pytest.mark.parametrize("command", ["deploy", "build", "check"])
def test_a_missing_version_is_a_usage_error_with_an_example(call: Call, command: str) -> None:
    said = call(command)
    assert said.code == 2
    assert f"`release {command} v1.2.0`" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy", "v1.0.0", "--snapshot"),
        ("deploy", "v1.0.0", "v1.1.0"),
        ("deploy", "v1.0.0", "--accept-no-data", "latency"),
        ("deploy", "v1.0.0", "--accept-no-data", "latency= "),
        ("deploy", "v1.0.0", "--accept-no-data", "qualtiy=a reason"),
        ("deploy", "v1.0.0", "--set", "proxy.listen"),
        ("check", "v1.0.0", "--url", "http://127.0.0.1:1"),
        ("check", "--against", "http://127.0.0.1:1"),
        ("check", "--url", "file:///etc/passwd"),
        ("check", "--url", "http://127.0.0.1:99999"),
        ("check", "--url", "http://127.0.0.1:1", "--against", "127.0.0.1:1"),
        ("history", "--limit", "9" * 30),
        ("-C", "x" * 5000, "status"),
        ("accept", "v1.0.0"),
        ("status", "--watch", "--json"),
        ("logs", "green", "--deployment", "d"),
        ("history", "--limit", "0"),
        ("-C", "nowhere", "status"),
        ("report", "--format", "pdf"),
    ],
)
def test_bad_arguments_are_usage_errors_and_never_tracebacks(call: Call, arguments: tuple[str, ...]) -> None:
    said = call(*arguments)
    assert said.code == 2
    assert said.err.startswith("error: ") or "--json" in arguments
    assert "Traceback" not in said.err + said.out


@pytest.mark.parametrize(("typed", "meant"), [("roll-back", "rollback"), ("stats", "status"), ("deplyo", "deploy")])
def test_an_unknown_command_is_answered_with_the_nearest(call: Call, typed: str, meant: str) -> None:
    said = call(typed)
    assert said.code == 2
    assert f"no command is called {typed!r}" in said.err
    assert meant in said.err


def test_an_unknown_command_of_a_group_is_answered_with_the_nearest(call: Call) -> None:
    assert "did you mean install" in call("proxy", "instal").err


def test_an_error_has_its_hint_and_its_exit_code(call: Call) -> None:
    said = call("status")
    assert said.code == 2
    assert said.err.splitlines()[0].startswith("error: nothing was deployed yet")
    assert "release deploy TAG" in said.err.splitlines()[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--json", "status"),
        ("status", "--json"),
        ("--json", "nope"),
        ("deploy", "--json"),
        ("deploy", "--jsn", "--json"),
    ],
)
def test_with_json_an_error_is_the_one_document_on_stdout(call: Call, arguments: tuple[str, ...]) -> None:
    said = call(*arguments)
    document = json.loads(said.out)
    assert document["ok"] is False
    assert set(document["error"]) == {"type", "message", "hint", "exit_code", "context"}
    assert document["error"]["exit_code"] == said.code == 2
    assert document["error"]["type"] == "UsageError"


def test_the_context_of_an_error_is_in_its_document(capsys: pytest.CaptureFixture[str]) -> None:
    code = failure.known(Locked("held", hint="wait", holder={"pid": 1}), failure.Wants(json=True, verbose=False))
    assert code == 4
    assert json.loads(capsys.readouterr().out)["error"]["context"] == {"holder": {"pid": 1}}


def test_a_defect_apologises_and_keeps_the_traceback_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError as error:
        assert failure.unknown(error, failure.Wants(json=False, verbose=False)) == 70
    said = capsys.readouterr().err
    assert "defect of release itself: ZeroDivisionError: by nothing" in said
    assert "Traceback" not in said
    kept = Path(said.split("report it with ")[1].strip())
    assert "by nothing" in kept.read_text(encoding="utf-8")
    kept.unlink()


def test_a_defect_shows_its_traceback_with_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError as error:
        assert failure.unknown(error, failure.Wants(json=False, verbose=True)) == 70
    assert "Traceback" in capsys.readouterr().err


def test_words_behind_two_dashes_are_no_options() -> None:
    assert failure.Wants.of(["logs", "--", "--json"]) == failure.Wants(json=False, verbose=False)


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    code = f"{sys.executable} -m release.cli.main config schema | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_data_can_be_accepted_for_every_gate_that_there_is() -> None:
    from release.checks import ORDER
    from release.cli.commands.deploy import _GATES

    assert _GATES == ORDER


def test_a_closed_output_is_no_defect_and_a_full_one_says_so(tmp_path: Path) -> None:
    command = f"{sys.executable} -m release.cli.main config schema"
    for redirect, code, words in ((">&-", 0, ""), ("<&- >&-", 0, ""), (">/dev/full", 3, "no space is left")):
        done = subprocess.run(
            ["bash", "-c", f"{command} {redirect}"], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert (done.returncode, words in done.stderr) == (code, True), redirect
        assert "defect" not in done.stderr


def test_a_host_without_git_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "release.yaml").write_text("service: shop\ncontainer: {port: 5000}\n")
    said = process("build", "v1.0.0", cwd=tmp_path, state=tmp_path / "state", environ={"PATH": str(tmp_path)})
    assert said.code == 3
    assert "git is not installed" in said.err


def test_the_version_is_told_without_a_state_or_a_manifest(tmp_path: Path) -> None:
    said = process("--version", cwd=tmp_path, state=tmp_path / "state")
    assert said.code == 0
    assert said.out.startswith("release ")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("typed", [("--json", "--version"), ("--version", "--json")])
def test_the_version_is_one_json_document_where_json_is_asked_for(call: Call, typed: tuple[str, ...]) -> None:
    said = call(*typed)
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == {"ok": True, "version": call("--version").out.split()[1]}


@pytest.mark.parametrize("typed", [("--json", "--help"), ("deploy", "-h", "--json"), ("--json", "proxy", "--help")])
def test_help_is_one_json_document_where_json_is_asked_for(call: Call, typed: tuple[str, ...]) -> None:
    said = call(*typed)
    plain = call(*(word for word in typed if word != "--json"))
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == {"ok": True, "help": plain.out.rstrip()}


@pytest.mark.parametrize("typed", [("--json",), ("proxy", "--json")])
def test_json_without_a_command_is_an_error_as_json(call: Call, typed: tuple[str, ...]) -> None:
    said = call(*typed)
    assert (said.code, json.loads(said.out)["error"]["exit_code"]) == (2, 2)


def test_an_error_beside_help_is_still_one_json_document(call: Call) -> None:
    said = call("no-such-command", "--json", "--help")
    assert (said.code, json.loads(said.out)["ok"]) == (2, False)


@pytest.mark.parametrize(
    "typed", [("NAME",), ("deploy", "NAME"), ("--service", "NAME", "status"), ("-C", "NAME", "status")]
)
def test_a_very_long_name_is_not_echoed_whole(call: Call, typed: tuple[str, ...]) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    said = call(*(word.replace("NAME", "n" * 5000) for word in typed))
    assert said.code != 0
    assert "n" * 79 in said.err and "n" * 81 not in said.err
