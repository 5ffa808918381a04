"""Writes what was rendered: all files or none, and none that is there already unless told to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from release.errors import UsageError


def write(root: Path, files: Mapping[str, str], *, force: bool = False) -> list[Path]:
    """Writes the files below `root`, gives their paths. Raises UsageError, with nothing written, where one exists."""
    paths = {root / name: text for name, text in files.items()}
    present = [str(path.relative_to(root)) for path in paths if path.exists() or path.is_symlink()]
    if present and not force:
        raise UsageError(
            f"{' and '.join(present)} {'exists' if len(present) == 1 else 'exist'} already; nothing was written",
            hint="`release init --force` writes over it",
        )
    for path, text in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise UsageError(
                f"cannot write {path}: {error.strerror}", hint="let this user write to the repository"
            ) from error
    return list(paths)
