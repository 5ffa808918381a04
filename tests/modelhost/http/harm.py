"""What happens to published versions and must not: each way to harm 1.1.0 of `model`, and what its refusal says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WEIGHTS = "weights.safetensors"
NOBODY = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Harm:
    """`do` to the directory of the component, after it was published with `metadata`; a refusal says `said`, a
    pattern."""

    said: str
    do: Callable[[Path], None] = lambda folder: None
    metadata: dict[str, Any] = field(default_factory=dict)


def _open(path: Path) -> Path:
    path.parent.chmod(0o755)
    path.chmod(0o644)
    return path


def _one_bit(folder: Path) -> None:
    content = (path := _open(folder / "1.1.0" / WEIGHTS)).read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def _cut(folder: Path) -> None:
    content = (path := _open(folder / "1.1.0" / WEIGHTS)).read_bytes()
    path.write_bytes(content[:40])


def _weights_of_another(folder: Path) -> None:
    one, other = _open(folder / "0.9.0" / WEIGHTS).read_bytes(), _open(folder / "1.1.0" / WEIGHTS)
    (folder / "0.9.0" / WEIGHTS).write_bytes(other.read_bytes())
    other.write_bytes(one)


def _directory_of_another(folder: Path) -> None:
    """Two directories changed their places, as a hurried `mv` does it."""
    for name in ("0.9.0", "1.1.0"):
        (folder / name).chmod(0o755)
    (folder / "0.9.0").rename(folder / "aside")
    (folder / "1.1.0").rename(folder / "0.9.0")
    (folder / "aside").rename(folder / "1.1.0")


def _without_weights(folder: Path) -> None:
    _open(folder / "1.1.0" / WEIGHTS).unlink()


def _without_description(folder: Path) -> None:
    _open(folder / "1.1.0" / "version.json").unlink()


HARMS = {
    "one bit": Harm(rf"{WEIGHTS} was changed", _one_bit),
    "truncated": Harm(rf"{WEIGHTS} is cut to 40 of 64 bytes", _cut),
    "weights swapped": Harm(rf"{WEIGHTS} has the content of {WEIGHTS} of model 0.9.0: swapped", _weights_of_another),
    # The second: where it was looked at before that happened.
    "directories swapped": Harm(
        r"belongs to model 0.9.0, and lies where model 1.1.0|content of .* of model 0.9.0: swapped",
        _directory_of_another,
    ),
    "half copied": Harm(rf"{WEIGHTS} is missing", _without_weights),
    "not described": Harm(r"has no version\.json", _without_description),
    "wrong environment": Harm(r"python 2\.7 wanted", metadata={"environment": {"python": "2.7", "packages": {}}}),
    "wrong mate": Harm(
        r"model 1\.1\.0 wants the tokenizer of digest sha256:0000", metadata={"mates": {"tokenizer": NOBODY}}
    ),
}
