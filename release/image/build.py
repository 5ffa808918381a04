"""How a release comes to its image: the one that is there, else the registry's, else a build. Never overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from release.config.image import Base, Wheelhouse
from release.config.manifest import Manifest
from release.errors import BuildFailed, Refused
from release.image import dockerfile
from release.image.labels import REVISION, Description, image_labels
from release.image.store import BuildRequest, Image, ImageStore, Progress, RegistryClient
from release.naming import ReleaseName


class How(StrEnum):
    REUSED = "reused"
    PULLED = "pulled"
    BUILT = "built"


@dataclass(frozen=True)
class Wanted:
    """The release an image is wanted for. `tree` is the folder of the manifest in the export of `commit` (the full
    hash); `now` is RFC 3339 in UTC. A snapshot's image is marked, and never looked for in the registry."""

    release: ReleaseName
    commit: str
    tree: Path
    now: str
    origin_url: str = ""
    snapshot: bool = False


@dataclass(frozen=True)
class Obtained:
    image: Image
    how: How


@dataclass(frozen=True)
class BaseImage:
    """A base image that is here: how a Dockerfile names it, and its digest (or local id)."""

    reference: str
    digest: str


class Bases(Protocol):
    def obtain(self, base: Base, progress: Progress) -> BaseImage: ...


class Wheels(Protocol):
    def fill(self, wheelhouse: Wheelhouse, context: Path, tree: Path, progress: Progress) -> None: ...


@dataclass(frozen=True)
class Sources:
    """Where images come from. `registry` is None where none is configured; `bases` and `wheels` where the engine needs
    none."""

    store: ImageStore
    registry: RegistryClient | None = None
    bases: Bases | None = None
    wheels: Wheels | None = None


def obtain(wanted: Wanted, manifest: Manifest, sources: Sources, progress: Progress) -> Obtained:
    """The image of this release. Raises Refused where its tag holds an image of another commit, here or in the
    registry; BuildFailed, RegistryError or EngineError where it cannot be had."""
    here = sources.store.find(manifest.repository, wanted.release)
    if here is not None:
        check_commit(here, wanted, "on this host")
        progress(f"image {here.reference} is here already")
        sources.store.hold(here, manifest.scope, pulled=False)
        return Obtained(here, How.REUSED)
    pulled = None if wanted.snapshot else _pull(wanted, manifest, sources, progress)
    if pulled is not None:
        sources.store.hold(pulled, manifest.scope, pulled=True)
        return Obtained(pulled, How.PULLED)
    return Obtained(_build(wanted, manifest, sources, progress), How.BUILT)


def check_commit(image: Image, wanted: Wanted, where: str) -> None:
    """Raises Refused unless the image says that it was made from exactly this commit."""
    revision = image.labels.get(REVISION, "")
    if revision == wanted.commit:
        return
    made = f"was made from commit {revision[:12]}" if revision else "does not say which commit it was made from"
    raise Refused(
        f"the image {image.reference or wanted.release} {where} {made};"
        f" the tag {wanted.release.tag} names {wanted.commit[:12]}",
        hint="a published tag never changes: release the new commit under a new tag, or remove that image by hand",
    )


def _pull(wanted: Wanted, manifest: Manifest, sources: Sources, progress: Progress) -> Image | None:
    if sources.registry is None:
        return None
    reference = f"{manifest.repository}:{wanted.release}"
    digest = sources.registry.digest(reference)
    if digest is None:
        return None
    progress(f"pulling {reference} ({digest[:19]})")
    image = sources.registry.pull(reference, digest, progress)
    try:
        check_commit(image, wanted, "in the registry")
    except Refused:
        sources.store.remove(image)
        raise
    return image


def _build(wanted: Wanted, manifest: Manifest, sources: Sources, progress: Progress) -> Image:
    build = manifest.build
    context = wanted.tree / build.context
    if not context.is_dir():
        raise BuildFailed(
            f"build.context {build.context!r} is no folder at commit {wanted.commit[:7]}",
            hint="it is relative to release.yaml, and has to be committed",
        )
    arguments = dict(build.args)
    named: BaseImage | None = None
    if build.base is not None and sources.bases is not None:
        named = sources.bases.obtain(build.base, progress)
        arguments[build.base.argument] = named.reference
    if build.wheelhouse is not None and sources.wheels is not None:
        sources.wheels.fill(build.wheelhouse, context, wanted.tree, progress)
    base = named or _base_here(context / build.dockerfile, arguments, sources.store)
    progress(f"building {manifest.repository}:{wanted.release}")
    return sources.store.build(
        BuildRequest(
            context=context,
            dockerfile=build.dockerfile,
            args=arguments,
            repository=manifest.repository,
            release=wanted.release,
            labels=image_labels(_describe(wanted, manifest, base)),
            timeout=build.timeout,
            requirements=wanted.tree / build.wheelhouse.requirements if build.wheelhouse is not None else None,
        ),
        progress,
    )


def _describe(wanted: Wanted, manifest: Manifest, base: BaseImage | None) -> Description:
    return Description(
        scope=manifest.scope,
        service=manifest.service,
        environment=manifest.environment,
        release=wanted.release,
        commit=wanted.commit,
        created=wanted.now,
        title=manifest.title or "",
        description=manifest.description or "",
        licenses=manifest.licenses or "",
        source=manifest.source or wanted.origin_url,
        base_name=base.reference if base else "",
        base_digest=base.digest if base else "",
        snapshot=wanted.snapshot,
        own=manifest.labels,
    )


def _base_here(path: Path, arguments: dict[str, str], store: ImageStore) -> BaseImage | None:
    """The base that the Dockerfile itself names; its digest where the image is on this host already."""
    try:
        name = dockerfile.base(path.read_text(encoding="utf-8"), arguments)
    except (OSError, UnicodeDecodeError):
        return None  # the build says what is wrong with it
    if not name:
        return None
    image = store.get(name)
    return BaseImage(name, (image.digest or image.id) if image else "")
