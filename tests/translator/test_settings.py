"""Settings: every wrong one is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from translator.errors import StartError
from translator.settings import MODELS, Settings, served_model


def test_the_served_version_is_the_one_line_of_the_file() -> None:
    settings = Settings.from_environment({})
    assert settings.model_dir == MODELS / (MODELS / "SERVE").read_text(encoding="utf-8").strip()
    assert settings.model_dir is not None and settings.model_dir.name.startswith("v")
    assert not settings.alone and settings.registry is None


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    settings = Settings.from_environment({"MODEL_DIR": str(tmp_path / "opus"), "RELEASE_VERSION": "v1.0.0-abc1234"})
    assert settings.model_dir == tmp_path / "opus" and settings.alone
    assert settings.release.version == "v1.0.0-abc1234"


def test_an_unknown_version_lists_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "v1.0.0").mkdir()
    (tmp_path / "v2.0.0").mkdir()
    (tmp_path / "SERVE").write_text("v3.0.0\n", encoding="utf-8")
    with pytest.raises(StartError, match=r"v3\.0\.0.*v1\.0\.0, v2\.0\.0"):
        served_model(tmp_path)


def test_a_missing_choice_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"SERVE is missing.*MODEL_DIR"):
        served_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("TRANSLATOR_THREADS", "0"),
        ("TRANSLATOR_ENGINE", "onnx"),
        ("TRANSLATOR_BEAMS", "-1"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(StartError, match=name):
        Settings.from_environment({"MODEL_DIR": "/models/x", name: value})
