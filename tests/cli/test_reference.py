"""The documentation of the commands is the commands."""

from __future__ import annotations

from pathlib import Path

from release.cli.reference import every, page

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_command_and_every_option_of_its_own_is_documented() -> None:
    text = page()
    for typed, command in every():
        section = text.split(f"### {typed}\n", 1)
        assert len(section) == 2, typed
        for parameter in command.params:
            if parameter.expose_value and parameter.param_type_name == "option":
                assert f"`{parameter.opts[-1]}" in section[1].split("\n### ")[0] or parameter.opts[0] in section[1]
