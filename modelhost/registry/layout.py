"""Where things lie in a registry's directory, and how a `version.json` is read from it.

    <root>/<component>/<version>/            immutable: read-only files and directories, arrived by rename
    <root>/<component>/<version>/version.json
    <root>/<component>/status.jsonl          append-only
    <root>/<component>/.lock                 held while something arrives or leaves
    <root>/<component>/.staging-…, .trash-…  on the way in, on the way out: nobody reads them
    <root>/.cluster/<group>/                 what services of several processes desire of it; see modelhost.cluster

A name with a dot in front is never a version. Symbolic links are never followed: what a link points at can change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from modelhost.errors import ConfigError, IntegrityError, InvalidRequest, mistakes
from modelhost.metadata import LONGEST, NAME, VersionInfo, canonical_version

VERSION_FILE = "version.json"
STATUS_FILE = "status.jsonl"
LOCK_FILE = ".lock"
STAGING = ".staging-"
TRASH = ".trash-"
CLUSTERS = ".cluster"
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # one slash: so much is left of it in a Path


def is_url(where: Path | str) -> bool:
    """Whether this names a place elsewhere, which as a path would be a folder called `s3:` in the working directory."""
    return _URL.match(str(where)) is not None


def local(where: Path | str) -> Path:
    """The folder of a registry. Raises ConfigError for a URL."""
    if is_url(where):
        raise ConfigError(
            f"{where} is a URL, and a folder is wanted here",
            "in Python it is a modelhost.registry.remote.RemoteRegistry(url, cache), to which "
            "modelhost.registry.upload.publish_remote publishes; in modelhost.yaml, registry: {url: …, cache: …}",
        )
    return Path(where)


def is_component(name: str) -> bool:
    """Whether this can be the name of a component; nothing that leads out of the registry is."""
    return len(name) <= LONGEST and re.fullmatch(NAME, name) is not None


def is_version(name: str) -> bool:
    """Whether a directory of this name can be a version: canonical SemVer, so `v1.0.0` and `1.0` are not."""
    try:
        return canonical_version(name) == name
    except ValueError:
        return False


def component_directory(root: Path, component: str) -> Path:
    """The component's directory. Raises InvalidRequest for what is no name: it never leads out of the root."""
    if not is_component(component):
        raise InvalidRequest(
            f"{component!r:.80} is no component name", "lower-case letters and digits, parts joined by . _ or -"
        )
    return root / component


def parse(text: str | bytes, where: str, component: str, version: str) -> VersionInfo:
    """What a `version.json` says. Raises IntegrityError where it is unreadable or speaks of another version."""
    try:
        info = VersionInfo.model_validate_json(text)
    except ValidationError as error:
        raise IntegrityError(
            f"{where} cannot be read: {mistakes(error.errors(), 'the file')}",
            f"publish {component} anew under another version number",
        ) from error
    if (info.component, info.version) != (component, version):
        raise IntegrityError(
            f"{where} belongs to {info.component} {info.version}, and lies where {component} {version} should be",
            "the files were swapped: put each version back in its place",
        )
    return info


def undescribed(folder: Path) -> IntegrityError:
    """The error for a version's directory that does not say what it is."""
    return IntegrityError(
        f"{folder} has no {VERSION_FILE}", "half copied, or never published: publish it, or remove it"
    )


def incomplete(info: VersionInfo, where: str, missing: Sequence[str]) -> IntegrityError:
    """The error for a version of which not every file can be had from a registry elsewhere."""
    names = "; ".join(f"{name} is missing" for name in missing)
    return IntegrityError(
        f"{info.component} {info.version} from {where} has not all of its files: {names}", "copy them there again"
    )
