"""Import of what DVC tracks: a `.dvc` file, or a pipeline's `dvc.lock`, names md5 digests; the contents lie in DVC's
cache or in the work tree.

The format is read here, DVC itself is not needed. A directory's digest ends in `.dir` and names a JSON list of files.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelhost.errors import IntegrityError, InvalidRequest
from modelhost.registry.exchange import dvclock
from modelhost.registry.exchange.draft import Draft, hex_digest, optional

_DIRECTORY = ".dir"


def read_tracked(pointer: Path, cache: Path | None = None) -> Draft:
    """The files that a `.dvc` file tracks, each checked against its md5; `desc` becomes the note.

    Of a pipeline's outputs the pointer is `PATH/dvc.lock:OUTPUT`, or `PATH/dvc.lock:STAGE` for all of a stage;
    `dvc.yaml` may stand for `dvc.lock`. `cache`: DVC's cache directory, where it is not the one of the repository
    around the file. Raises InvalidRequest for what is neither, and for names that it does not have; IntegrityError for
    contents that are missing or changed.
    """
    if (pipeline := dvclock.wanted(pointer)) is not None:
        outputs, described, pointer = dvclock.outputs(pipeline), dict[str, Any](), pipeline.path
    else:
        outputs, described = _outputs(pointer)
    caches = [cache] if cache else _caches(pointer)
    found: list[tuple[str, Path]] = []
    for output in outputs:
        digest, name = str(output.get("md5", "")), str(output["path"])
        # Before version 3 the digest of a text was that of its lines with Unix endings.
        legacy = output.get("hash") != "md5"
        beside = pointer.parent / str(output.get(dvclock.WDIR, ".")) / name
        if digest.endswith(_DIRECTORY):
            for member, path, part in _members(digest, beside, caches):
                found.append((member, _content(member, path, part, caches, legacy)))
        else:
            found.append((beside.name, _content(name, beside, digest, caches, legacy)))
    return Draft(_each_once(pointer, found), described)


def _each_once(pointer: Path, found: list[tuple[str, Path]]) -> dict[str, Path]:
    files = dict(found)
    if len(files) < len(found):
        names = [name for name, _ in found]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InvalidRequest(
            f"several outputs of {pointer} bring a file called {', '.join(twice)[:300]}",
            "a version has each name once: import one output alone",
        )
    return files


def _outputs(pointer: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    yaml = optional("yaml", "PyYAML")
    try:
        content = yaml.safe_load(pointer.read_text("utf-8"))
        outputs = [{**output, dvclock.WDIR: content.get(dvclock.WDIR, ".")} for output in content["outs"]]
        described = content.get("desc") or outputs[0].get("desc")
        if not all("path" in output for output in outputs):
            raise KeyError("path")
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InvalidRequest(
            f"{pointer} cannot be read as a .dvc file: {error}",
            "name a file that dvc add made, or an output of a pipeline: dvc.lock:models/m",
        ) from error
    return outputs, {"note": str(described)} if described else {}


def _members(digest: str, folder: Path, caches: list[Path]) -> Iterator[tuple[str, Path, str]]:
    """Name, place in the work tree and md5 of each file of a tracked directory."""
    listing = _cached(digest, caches)
    if listing is None:
        raise IntegrityError(f"the list of files in {folder} is not in DVC's cache", "run dvc fetch first")
    if hex_digest(listing, "md5") != digest.removesuffix(_DIRECTORY):
        raise IntegrityError(f"the list of files in {folder} was changed", "remove it from the cache and run dvc fetch")
    try:
        for member in json.loads(listing.read_bytes()):
            name = str(member["relpath"])
            yield name, folder / name, str(member["md5"])
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{listing} is no list of files: {error}", "run dvc fetch anew") from error


def _content(name: str, beside: Path, digest: str, caches: list[Path], legacy: bool) -> Path:
    """The file that has this digest: the cache's, or the work tree's where the cache lacks it."""
    cached = _cached(digest, caches)
    # A work tree's name may lead anywhere; what has the digest is what was tracked all the same.
    candidates = [path for path in (cached, beside) if path is not None and path.is_file()]
    if not candidates:
        raise IntegrityError(f"{name} is neither in DVC's cache nor in the work tree", "run dvc pull first")
    for path in candidates:
        if _matches(path, digest, legacy):
            return path.resolve()
    raise IntegrityError(f"{name} is not what DVC tracked: its md5 is not {digest}", "run dvc checkout, or dvc pull")


def _matches(path: Path, digest: str, legacy: bool) -> bool:
    if hex_digest(path, "md5") == digest:
        return True
    if not legacy:
        return False
    return hashlib.md5(path.read_bytes().replace(b"\r\n", b"\n"), usedforsecurity=False).hexdigest() == digest


def _cached(digest: str, caches: list[Path]) -> Path | None:
    if not re.fullmatch(r"[0-9a-f]{32}(\.dir)?", digest):
        raise InvalidRequest(f"{digest!r} is no md5 digest", "only outputs that DVC tracks by md5 can be imported")
    places = (place / part for place in caches for part in ("files/md5", ""))
    return next((path for place in places if (path := place / digest[:2] / digest[2:]).is_file()), None)


def _caches(pointer: Path) -> list[Path]:
    """The cache of the repository around a file, as its configuration says."""
    for folder in pointer.resolve().parents:
        settings = folder / ".dvc"
        if settings.is_dir():
            config = configparser.ConfigParser(interpolation=None, strict=False)
            config.read([settings / "config", settings / "config.local"])
            said = config.get("cache", "dir", fallback="cache")
            return [settings / said]
    return []
