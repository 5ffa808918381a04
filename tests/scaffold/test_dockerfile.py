"""Dockerfiles are read as Docker reads them."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.scaffold.dockerfile import final_stage, instructions


def names(text: str) -> list[str]:
    return [found.name for found in instructions(text)]


def test_instructions_know_their_line_and_any_case_is_read() -> None:
    found = list(instructions("# c\n\nfrom a\nRun x \\\n  # a comment between\n\n  && y\nexpose 80\n"))
    assert [(one.name, one.value, one.line) for one in found] == [
        ("FROM", "a", 3),
        ("RUN", "x && y", 4),
        ("EXPOSE", "80", 8),
    ]


def test_the_escape_directive_is_followed() -> None:
    assert names("# escape=`\nFROM a\nRUN dir c:\\ `\n  && x\nEXPOSE 80\n") == ["FROM", "RUN", "EXPOSE"]


def test_heredocs_hold_no_instructions() -> None:
    text = 'FROM a\nRUN <<EOF\nEXPOSE 1\nCMD bad\nEOF\nCOPY <<-"A" <<B /x/\nEXPOSE 2\n\tA\nEXPOSE 3\nB\nEXPOSE 4\n'
    assert names(text) == ["FROM", "RUN", "COPY", "EXPOSE"]


def test_a_shift_is_no_heredoc() -> None:
    assert names("FROM a\nRUN echo $((x<<y))\nEXPOSE 1\n") == ["FROM", "RUN", "EXPOSE"]


def test_the_final_stage_inherits_from_the_stage_it_begins_with() -> None:
    stage = final_stage(
        "ARG TAG=3\nFROM python:${TAG} AS base\nENV PORT=1 A='b c'\nEXPOSE $PORT\n"
        "FROM base AS other\nEXPOSE 9\nFROM Base\nCMD run ${PORT}\n"
    )
    assert stage is not None
    assert stage.base == "python:3"
    assert [found.value for found in stage.every("EXPOSE")] == ["1"]
    assert stage.env == {"PORT": "1", "A": "b c"}
    assert stage.last("CMD").words == ["run", "1"]


def test_arguments_and_variables_are_filled_in() -> None:
    stage = final_stage(
        "ARG G=7\nFROM a\nARG G\nARG P=${G}000\nENV OLD some value\nEXPOSE ${P} ${Q:-5} ${P:+6} $UNKNOWN \\$P\n"
    )
    assert stage is not None
    assert stage.last("EXPOSE").value == "7000 5 6 $UNKNOWN \\$P"
    assert stage.env["OLD"] == "some value"


def test_commands_are_words_in_every_form() -> None:
    stage = final_stage('FROM a\nENTRYPOINT ["sh", "-c", "exec x --port 1"]\nCMD run "a b" c\n')
    assert stage is not None
    assert stage.last("ENTRYPOINT").words == ["sh", "-c", "exec", "x", "--port", "1"]
    assert stage.last("CMD").words == ["run", "a", "b", "c"]


def test_a_file_without_from_has_no_stage() -> None:
    assert final_stage("ARG A=1\n# nothing\n") is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text("FROMACDE \\\n#<`\"'${}:-=[]a1", max_size=80))
def test_any_text_is_read_without_an_error(text: str) -> None:
    final_stage("FROM a\n" + text)
