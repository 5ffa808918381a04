"""Settings of the service, read once from the environment, frozen, valid from birth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from translator.cpus import default_threads
from translator.errors import StartError

ENGINES = ("ctranslate2", "torch")
MODELS = Path(__file__).parent / "models"
CHOICE = "SERVE"  # the file in it that names the version to serve


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
    """Everything that the environment decides.

    `model_dir`: the model that serves at first; None where the registry says. `alone`: it was named by MODEL_DIR, and
    no other is offered.
    `registry`: a folder of versions, filled with the bundled ones where it is empty; None for one that ends with the
    process. `state`: the folder of what must outlive a restart, None for what `state.py` says. `configuration`: of
    modelhost, where ours will not do. `tokens`: who may switch models; None for nobody.
    """

    model_dir: Path | None
    alone: bool = False
    engine: str = ENGINES[0]
    registry: Path | None = None
    state: Path | None = None
    configuration: Path | None = None
    tokens: Path | None = None
    feedback: Path | None = None
    host: str = "0.0.0.0"  # a container publishes it on loopback only
    port: int = 5000
    threads: int = 1
    beams: int = 0  # 0: as the model's own generation_config.json says
    log_level: str = "info"
    allow_pickle: bool = False
    limits: Limits = Limits()
    release: Release = Release()

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Settings:
        """Read the settings; raises `StartError` that names the variable and what it may hold."""
        level = env.get("LOG_LEVEL", "info").lower()
        if level not in LEVELS:
            raise StartError(f"LOG_LEVEL={level!r}: use one of {', '.join(LEVELS)}")
        engine = env.get("TRANSLATOR_ENGINE") or ENGINES[0]
        if engine not in ENGINES:
            raise StartError(f"TRANSLATOR_ENGINE={engine!r}: use one of {', '.join(ENGINES)}")
        defaults, registry = Limits(), path(env, "TRANSLATOR_REGISTRY")
        named = Path(env["MODEL_DIR"]).resolve() if env.get("MODEL_DIR") else None
        return cls(
            model_dir=named or (None if registry and not model_folders(MODELS) else served_model(MODELS)),
            alone=bool(env.get("MODEL_DIR")),
            engine=engine,
            registry=registry,
            state=path(env, "TRANSLATOR_STATE"),
            configuration=path(env, "TRANSLATOR_CONFIG"),
            tokens=path(env, "TRANSLATOR_TOKENS"),
            feedback=path(env, "TRANSLATOR_FEEDBACK"),
            host=env.get("HOST", "0.0.0.0"),
            port=number(env, "PORT", 5000, 0, 65535),
            threads=number(env, "TRANSLATOR_THREADS", default_threads(), 1, 256),
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


def path(env: Mapping[str, str], name: str) -> Path | None:
    """The path that `name` holds, absolute; None where it is empty."""
    text = env.get(name, "").strip()
    return Path(text).absolute() if text else None


def number(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """The integer variable `name`, between `low` and `high`."""
    text = env.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        raise StartError(f"{name}={text!r}: use a whole number from {low} to {high}")
    return int(text)


def model_folders(models: Path) -> list[Path]:
    """The models of a folder, by name; none where there is no such folder."""
    if not models.is_dir():
        return []
    return sorted(path for path in models.iterdir() if path.is_dir() and not path.name.startswith("."))


def served_model(models: Path) -> Path:
    """The directory that the one line in `models/SERVE` names; an unknown name lists those there are."""
    choice = models / CHOICE
    if not choice.is_file():
        raise StartError(f"{choice} is missing: write the version to serve into it, or set MODEL_DIR")
    name = choice.read_text(encoding="utf-8").strip()
    there = [path.name for path in model_folders(models)]
    if name not in there:
        raise StartError(f"{choice} says {name!r}; the versions here are: {', '.join(there) or 'none'}")
    return models / name
