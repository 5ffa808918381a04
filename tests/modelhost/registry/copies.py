"""Copies in the cache of a registry elsewhere, and what happens to them afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelhost.registry.base import Entry, Status
from modelhost.registry.durable import remove
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.upload import publish_remote
from tests.modelhost.registry.material import metadata, weights
from tests.modelhost.registry.places import Place

WEIGHTS = "model.safetensors"


def pulled(place: Place, tmp_path: Path, **given: object) -> tuple[RemoteRegistry, Entry]:
    """1.0.0 is in the cache, as it is at the remote; 1.1.0 is there too, and `latest` means the first."""
    publisher = place.registry(tmp_path / "publisher")
    for version in ("1.0.0", "1.1.0"):
        source = weights(tmp_path / f"source-{version}", f"weights {version}")
        publish_remote(publisher, source, metadata(version=version), who="anna")
    publisher.mark("model", "1.0.0", Status.STABLE, "anna", "measured")
    registry = place.registry(tmp_path / "cache", **given)
    registry.find("model", "1.1.0")
    return registry, registry.find("model")


def opened(path: Path) -> Path:
    """A file of a sealed version, as a disk that rots sees it."""
    path.parent.chmod(0o755)
    path.chmod(0o644)
    return path


def rot(copy: Path) -> None:
    content = opened(copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def cut(copy: Path) -> None:
    opened(copy / WEIGHTS).write_bytes(b"weig")


def lose(copy: Path) -> None:
    opened(copy / "vocab" / "source.spm").unlink()


def add(copy: Path) -> None:
    opened(copy / WEIGHTS)
    (copy / "core.123").write_bytes(b"a crash")


def mix(copy: Path) -> None:
    opened(copy / WEIGHTS).write_bytes((copy.with_name("1.1.0") / WEIGHTS).read_bytes())


def empty_description(copy: Path) -> None:
    opened(copy / "version.json").write_bytes(b"")


def lose_description(copy: Path) -> None:
    opened(copy / "version.json").unlink()


def rotten_description(copy: Path) -> None:
    path = opened(copy / "version.json")
    path.write_text(path.read_text().replace('"first"', '"fisst"'))


def become_a_file(copy: Path) -> None:
    remove(copy)
    copy.write_bytes(b"\0" * 100)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "rotten": (rot, rf"{WEIGHTS} was changed"),
    "cut": (cut, rf"{WEIGHTS} is cut to 4 of \d+ bytes"),
    "missing": (lose, r"vocab/source\.spm is missing"),
    "more": (add, r"core\.123 was not published"),
    "swapped": (mix, rf"{WEIGHTS} has the content of {WEIGHTS} of model 1\.1\.0: swapped"),
    "an empty description": (empty_description, r"version\.json cannot be read"),
    "no description": (lose_description, r"has no version\.json"),
    "a rotten description": (rotten_description, r"version\.json was changed"),
}
