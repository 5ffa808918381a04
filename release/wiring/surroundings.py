"""What a command was called with, and where: finds the manifest that it is about, and the state."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from release.config.state import State, default_root, find, known_scopes
from release.errors import ManifestError, ReleaseError
from release.ledger.records import Kind
from release.ledger.store import Ledger

if TYPE_CHECKING:
    from release.config.load import Loaded
    from release.config.manifest import Manifest
    from release.source.repository import Resolved, Source


@dataclass
class Surroundings:
    """`service` and `root` find the state; `cwd`, `manifest` and `overrides` a manifest."""

    root: Path = field(default_factory=default_root)
    service: str | None = None
    cwd: Path = field(default_factory=Path.cwd)
    manifest: Path | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def state(self) -> State:
        """Of the service that is named; where none is and several are deployed, of the manifest one stands in."""
        if self.service is None and len(known_scopes(self.root)) > 1:
            with contextlib.suppress(ReleaseError):
                manifest, _ = self.loaded()
                state = State(self.root, manifest.scope)
                if state.exists():
                    return state
        return find(self.root, self.service)

    def loaded(self) -> tuple[Manifest, dict[str, object]]:
        """The manifest one stands in, and the form that the ledger keeps. Raises ManifestError where there is none."""
        from release.config.load import load
        from release.config.stored import to_ledger

        loaded = load(self.manifest, start=self.cwd, overrides=self.overrides, environ=self.environ)
        return loaded.manifest, to_ledger(loaded.manifest)

    def here(self) -> Loaded | None:
        """The manifest one stands in, unless another service was named."""
        from release.config.load import load

        try:
            loaded = load(self.manifest, start=self.cwd, overrides=self.overrides, environ=self.environ)
        except ManifestError as error:
            if self.manifest is None and "no release.yaml" in error.message:
                return None
            raise
        return loaded if self.service in (None, loaded.manifest.scope, loaded.manifest.service) else None

    def of_commit(self, source: Source, resolved: Resolved) -> tuple[Manifest, dict[str, object], str]:
        """As `loaded`, by the text of that commit where it has one; and where its folder lies within the repository."""
        from release.config import load as loading
        from release.config.stored import to_ledger

        prefix = self._prefix(source)
        name = str(Path(prefix) / loading.FILE_NAME)
        text = None
        if self.manifest is None and not resolved.snapshot:
            text = source.read(resolved.commit, name)
        if text is None:
            try:
                manifest, config = self.loaded()
            except ManifestError as error:
                if self.manifest is None and "no release.yaml" in error.message:
                    raise ManifestError(
                        f"neither the commit of {resolved.release.tag} nor this directory holds a release.yaml",
                        hint="`release init` writes one; --manifest FILE names one elsewhere",
                    ) from None
                raise
            return manifest, config, prefix
        where = f"{name} of {resolved.release.tag}"
        manifest, _ = loading.parse(text, where, overrides=self.overrides, environ=self.environ)
        return manifest, to_ledger(manifest), prefix

    def kept(self, config: dict[str, object]) -> Manifest:
        """The manifest of a configuration in the ledger."""
        from release.config.stored import from_ledger

        return from_ledger(config, self.environ)

    def _prefix(self, source: Source) -> str:
        """Where the manifest's folder lies within the repository: a repository may hold several services."""
        from release.config import load as loading

        if source.root is None or self.manifest is not None:
            return "."
        with contextlib.suppress(ManifestError, ValueError):
            return str(loading.find(self.cwd).parent.resolve().relative_to(source.root.resolve()))
        return "."


def in_force(ledger: Ledger) -> dict[str, object] | None:
    """The configuration that nginx has: of the last run that brought in its own and did not take it back.

    Before there was one, of what was live last, else of whatever was tried or built; None where nothing was.
    """
    for limit in (5, 1000):
        for row in ledger.deployments(limit=limit, kind=Kind.DEPLOY):
            if row.facts.get("in_nginx") and row.facts.get("config"):
                return dict(row.facts["config"])
    rows = [row for row in ledger.releases() if row.config]
    tried = {row.release for row in ledger.deployments(limit=100) if row.kind in (Kind.DEPLOY, Kind.CHECK)}
    known = [row for row in rows if row.last_live_at] or [row for row in rows if row.name in tried] or rows
    return known[0].config if known else None
