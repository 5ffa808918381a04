"""Code by name: module:function, or an entry point of an installed package."""

import json
import sys
from pathlib import Path

import pytest

from modelhost.errors import ConfigError
from modelhost.routing.installed import installed


def test_a_function_is_found_by_its_module_and_name() -> None:
    assert installed("json:dumps") is json.dumps
    assert installed("json.decoder:JSONDecoder.decode") is json.JSONDecoder.decode


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_package_here:f", "ModuleNotFoundError.*install the package"),
        ("json:JSONDecode", "json has no JSONDecode: did you mean JSONDecoder"),
        ("/tmp/evil.py:f", "names no code.*package.module:function"),
        ("json:dumps()", "names no code"),
        (":f", "names no code"),
    ],
)
def test_code_that_is_not_there_is_refused_with_what_to_do(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        installed(name)


def test_a_module_that_raises_while_it_is_imported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_on_import.py").write_text("raise SystemError('not today')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ConfigError, match="SystemError: not today"):
        installed("raises_on_import:f")


def test_an_entry_point_of_an_installed_package_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shapes-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[modelhost.adapters]\ndown = json:dumps\nbroken = json:nothing\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert installed("down") is json.dumps
    with pytest.raises(ConfigError, match="there is broken, down"):
        installed("up")
    with pytest.raises(ConfigError, match="entry point broken cannot be loaded"):
        installed("broken")
