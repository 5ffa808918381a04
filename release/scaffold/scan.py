"""The look at a repository: finds its Dockerfile and reads what the guesses need. Reads only, follows no link out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from release import naming
from release.errors import UsageError
from release.scaffold import guess
from release.scaffold.dockerfile import final_stage
from release.scaffold.findings import Certainty, Findings, Guess
from release.scaffold.ports import pick, port_is_free

_NAMES = ("Dockerfile", "Containerfile", "dockerfile")
_FOLDERS = (".", "docker", "deploy", "build", ".docker", "container")
_SOURCE_ENDINGS = {
    ".py",
    ".js",
    ".mjs",
    ".cjs",
    ".ts",
    ".go",
    ".rb",
    ".java",
    ".kt",
    ".rs",
    ".php",
    ".ex",
    ".cs",
    ".sh",
}
_SKIPPED = {"node_modules", "vendor", "venv", "env", "dist", "site-packages", "tests", "test", "docs", "__pycache__"}
_MOST_FILES, _MOST_BYTES = 2000, 512 * 1024
_REMOTE = re.compile(r'\[remote "origin"\][^\[]*?\burl\s*=\s*(\S+)')


def scan(
    root: Path,
    *,
    taken: Collection[int] = (),
    dockerfile: str | None = None,
    is_free: Callable[[int], bool] = port_is_free,
) -> Findings:
    """What the repository at `root` says. `taken` are ports given to other services of this host.

    Raises UsageError where there is no Dockerfile, or it does not read as one.
    """
    found = _dockerfile(root, dockerfile)
    place = found.relative_to(root).as_posix()
    stage = final_stage(_read(found))
    if stage is None:
        raise UsageError(f"{place} has no FROM: it builds nothing", hint="docs.docker.com/reference/dockerfile")
    sources = list(_sources(root))
    suite = "tests/integration" if (root / "tests" / "integration").is_dir() else None
    return Findings(
        service=_service(root),
        port=guess.port(stage, place, sources),
        health=guess.health(stage, place, sources),
        dockerfile=place,
        ports=pick(taken, is_free),
        openapi=_openapi(sources),
        suite=suite,
        notes=tuple(_notes(root, place)),
    )


def _dockerfile(root: Path, given: str | None) -> Path:
    if given is not None:
        path = root / given
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            return path
        raise UsageError(f"no file {given} in {root}", hint="name a Dockerfile relative to the repository")
    for folder in _FOLDERS:
        for name in _NAMES:
            path = root / folder / name
            if path.is_file():
                return root / Path(folder, name)
    raise UsageError(
        f"no Dockerfile in {root}",
        hint="add a Dockerfile that starts the service, or name yours: release init --dockerfile PATH",
    )


def _notes(root: Path, place: str) -> Iterator[str]:
    others = sorted(path.name for path in (root / place).parent.glob("Dockerfile.*") if path.suffix != ".dockerignore")
    if others:
        yield f"there are other Dockerfiles: {', '.join(others)}; {place} was taken"
    if not (root / ".git").exists():
        yield "this is no git repository yet: a release is a tag, so `git init`, commit, and tag v1.0.0"


def _service(root: Path) -> Guess:
    """From the origin remote's last part, else the folder's name, brought to the form of a service's name."""
    match = _REMOTE.search(_git_config(root))
    if match is not None:
        last = re.split(r"[/:]", match[1].rstrip("/"))[-1].removesuffix(".git")
        if name := _fit(last):
            return Guess(name, f"the remote origin is {last}", Certainty.LIKELY, ".git/config")
    folder = root.resolve().name
    if name := _fit(folder):
        return Guess(name, f"the folder is named {folder}", Certainty.LIKELY)
    return Guess("app", "neither folder nor remote gives a usable name", Certainty.GUESS)


def _git_config(root: Path) -> str:
    """The text of the repository's configuration; empty where there is none. A worktree's `.git` is a file."""
    git = root / ".git"
    if git.is_file():
        pointer = _read(git).partition("gitdir:")[2].strip()
        git = (root / pointer).resolve()
        common = git / "commondir"
        git = (git / _read(common).strip()).resolve() if common.is_file() else git
    config = git / "config"
    return _read(config) if config.is_file() else ""


def _fit(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50].strip("-")
    return name if naming.valid_service(name) else ""


def _openapi(sources: list[tuple[str, str]]) -> Guess | None:
    for path, text in sources:
        match = re.search(r"^\s*(?:from fastapi import|import fastapi\b).*", text, re.MULTILINE)
        if match is not None and not re.search(r"openapi_url\s*=\s*None", text):
            line = text.count("\n", 0, match.start()) + 1
            return Guess("/openapi.json", match[0].strip()[:60], Certainty.LIKELY, path, line)
    return None


def _sources(root: Path) -> Iterator[tuple[str, str]]:
    """Source files in a stable order, those near the root first; tests, vendored and hidden folders left out."""
    files: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        files += [Path(folder, name) for name in sorted(names) if Path(name).suffix in _SOURCE_ENDINGS]
        if len(files) > _MOST_FILES:
            break
    for path in sorted(files, key=lambda path: (len(path.parts), path))[:_MOST_FILES]:
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MOST_BYTES:
            yield path.relative_to(root).as_posix(), _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="let this user read the repository") from error
