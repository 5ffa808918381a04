"""Reading Dockerfiles: where labels go, which base is meant, what the last stage runs."""

from __future__ import annotations

from release.image.dockerfile import Runtime, base, instructions, runtime, with_labels

TWO_STAGES = """\
# syntax comment
ARG BASE=debian:12
FROM ${BASE} AS build
RUN psql -c "SELECT * \\
# a comment inside
FROM table" && \\
    make
FROM --platform=linux/amd64 build
ENV A=1 B="two words" PATH=/opt/bin:$PATH
ENV OLD all the rest
WORKDIR /srv
WORKDIR app
EXPOSE 5000 8000/udp
ENTRYPOINT ["python3", "-u"]
CMD ["serve.py"]
"""


def test_every_stage_is_labelled_and_a_from_inside_a_command_is_none() -> None:
    lines = with_labels(TWO_STAGES, {"who": "us"}, {"last": "one"}).splitlines()
    assert [lines[n - 1] for n, line in enumerate(lines) if line == 'LABEL "who"="us"'] == [
        "FROM ${BASE} AS build",
        "FROM --platform=linux/amd64 build",
    ]
    assert lines[-1] == 'LABEL "last"="one"'


def test_instructions_join_what_is_continued() -> None:
    words = [found.word for found in instructions(TWO_STAGES)]
    assert words == ["ARG", "FROM", "RUN", "FROM", "ENV", "ENV", "WORKDIR", "WORKDIR", "EXPOSE", "ENTRYPOINT", "CMD"]
    run = next(found for found in instructions(TWO_STAGES) if found.word == "RUN")
    assert run.rest == 'psql -c "SELECT * FROM table" && make'


def test_the_escape_character_may_be_changed() -> None:
    text = "# escape=`\nFROM a `\n AS b\nRUN dir c:\\\nCMD x\n"
    assert [found.word for found in instructions(text)] == ["FROM", "RUN", "CMD"]
    assert 'LABEL "k"="`"`$x\\"' in with_labels(text, {"k": '"$x\\'}, {})


def test_the_base_is_found_through_stages_and_arguments() -> None:
    assert base(TWO_STAGES, {}) == "debian:12"
    assert base(TWO_STAGES, {"BASE": "alpine@sha256:1"}) == "alpine@sha256:1"
    assert base("FROM scratch\n", {}) == ""
    assert base("ARG B\nFROM ${B:-fallback:1}\n", {}) == "fallback:1"


def test_the_last_stage_says_what_runs() -> None:
    assert runtime(TWO_STAGES, {}) == Runtime(
        command=("python3", "-u", "serve.py"),
        env={"A": "1", "B": "two words", "PATH": "/opt/bin:", "OLD": "all the rest"},
        workdir="/srv/app",
        exposed=(5000, 8000),
    )


def test_shell_form_goes_through_a_shell_and_a_new_entrypoint_drops_the_command() -> None:
    assert runtime("FROM a\nCMD python3 app.py\n", {}).command == ("/bin/sh", "-c", "python3 app.py")
    assert runtime('FROM a\nCMD ["x"]\nENTRYPOINT ["y"]\n', {}).command == ("y",)
    assert runtime("FROM a\n", {}).command == ()


def test_a_tab_parts_words_as_well() -> None:
    assert base("FROM\tdebian:12\n", {}) == "debian:12"
    assert with_labels("FROM\tdebian:12\n", {"who": "us"}, {}).splitlines()[1] == 'LABEL "who"="us"'
    assert runtime("FROM a\nENV\n", {}).env == {}
