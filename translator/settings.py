"""Settings of the service, read once from the environment, frozen, valid from birth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from translator.errors import StartError

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Limits:
    """How much one request may ask for, and how many may wait."""

    chars: int = 2000  # characters of one text
    texts: int = 64  # texts of one request
    total_chars: int = 8000  # characters of one request
    waiting: int = 512  # requests in the queue


@dataclass(frozen=True)
class Release:
    """What the image says about itself; empty where it was not built by the toolkit."""

    version: str = ""
    revision: str = ""
    created: str = ""


@dataclass(frozen=True)
class Settings:
    """Everything that the environment decides."""

    model_dir: Path
    host: str = "0.0.0.0"  # a container publishes it on loopback only
    port: int = 5000
    threads: int = 1
    beams: int = 0  # 0: as the model's own generation_config.json says
    log_level: str = "info"
    allow_pickle: bool = False
    limits: Limits = Limits()
    release: Release = Release()

    @property
    def model_version(self) -> str:
        """The name of the model's directory."""
        return self.model_dir.name

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Settings:
        """Read the settings; raises `StartError` that names the variable and what it may hold."""
        level = env.get("LOG_LEVEL", "info").lower()
        if level not in LEVELS:
            raise StartError(f"LOG_LEVEL={level!r}: use one of {', '.join(LEVELS)}")
        defaults = Limits()
        return cls(
            model_dir=Path(env["MODEL_DIR"]).resolve() if env.get("MODEL_DIR") else served_model(MODELS),
            host=env.get("HOST", "0.0.0.0"),
            port=number(env, "PORT", 5000, 0, 65535),
            threads=number(env, "TRANSLATOR_THREADS", 1, 1, 256),
            beams=number(env, "TRANSLATOR_BEAMS", 0, 0, 16),
            log_level=level,
            allow_pickle=number(env, "TRANSLATOR_ALLOW_PICKLE", 0, 0, 1) == 1,
            limits=Limits(
                chars=number(env, "TRANSLATOR_MAX_CHARS", defaults.chars, 1, 100_000),
                texts=number(env, "TRANSLATOR_MAX_TEXTS", defaults.texts, 1, 10_000),
                total_chars=number(env, "TRANSLATOR_MAX_TOTAL_CHARS", defaults.total_chars, 1, 1_000_000),
                waiting=number(env, "TRANSLATOR_MAX_WAITING", defaults.waiting, 1, 100_000),
            ),
            release=Release(
                version=env.get("RELEASE_VERSION", ""),
                revision=env.get("RELEASE_REVISION", ""),
                created=env.get("RELEASE_CREATED", ""),
            ),
        )


LEVELS = ("debug", "info", "warning", "error")


def number(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """The integer variable `name`, between `low` and `high`."""
    text = env.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        raise StartError(f"{name}={text!r}: use a whole number from {low} to {high}")
    return int(text)


def served_model(models: Path) -> Path:
    """The directory that the one line in `models/SERVE` names; an unknown name lists those there are."""
    choice = models / "SERVE"
    if not choice.is_file():
        raise StartError(f"{choice} is missing: write the version to serve into it, or set MODEL_DIR")
    name = choice.read_text(encoding="utf-8").strip()
    there = sorted(path.name for path in models.iterdir() if path.is_dir())
    if name not in there:
        raise StartError(f"{choice} says {name!r}; the versions here are: {', '.join(there) or 'none'}")
    return models / name
