"""What `release models` works with: the registry or the service that is meant, and the hands of a switch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from release.config.state import State, holds_nothing, known_scopes
from release.errors import UsageError
from release.ledger.store import Ledger
from release.pipeline.events import Said
from release.rollout import identity
from release.wiring.desk import Desk
from release.wiring.surroundings import in_force

if TYPE_CHECKING:
    from release.config.manifest import Manifest
    from release.config.models import Models
    from release.models.base import Board
    from release.models.registry import ModelRegistry
    from release.models.service import ModelService
    from release.operations.models_unrecorded import Switching


@dataclass(frozen=True)
class ModelSwitching:
    """`manifest` is None where no service is known. `tree`: the folder of the benchmark set; `hold(id)`: a context
    manager around the deployment lock."""

    hands: Switching
    manifest: Manifest | None
    tree: Path
    hold: Callable[[str], contextlib.AbstractContextManager[object]]


class ModelDesk:
    """Where a command of `release models` works from."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._around = desk.surroundings

    def for_switch(self, *, named: bool = False) -> ModelSwitching:
        """What a model switch works with: by the manifest one stands in, else by what is deployed; where nothing is,
        by a registry or a service that is `named` alone, and unrecorded."""
        from release.config.stored import to_ledger

        loaded = self._around.here()
        if loaded is not None:
            hands, tree = self._desk.hands(loaded.manifest, to_ledger(loaded.manifest)), loaded.root
        elif self._around.service is None and holds_nothing(self._around.root, self._around.environ):
            return self._unrecorded(named)
        else:
            hands, tree = self._desk.for_scope(), self._around.cwd
        return ModelSwitching(hands, hands.manifest, tree, partial(self._desk.hold, hands))

    def _unrecorded(self, named: bool) -> ModelSwitching:
        from release.operations.models_unrecorded import Unrecorded

        if not named:
            raise UsageError(
                "no service is known here, so nothing says where its models are",
                hint="--registry DIR or --url URL; or run it where release.yaml is, or with -C DIR or --manifest FILE",
            )
        text = "no service is known here: nothing is recorded in a ledger, and no quality gate is configured"
        self._desk.report(Said(f"{text} ({self._around.root} has no service, this folder no release.yaml)"))
        hands = Unrecorded(self._desk.report, self._desk.interruption, identity.actor(self._around.environ))
        return ModelSwitching(hands, None, self._around.cwd, lambda _: contextlib.nullcontext())

    def section(self, *, needed: bool = True) -> Models | None:
        """The manifest's `models`, for a look. None where it has none, or where there is neither manifest nor state.

        `needed` False: None also where it cannot be told which service is meant.
        """
        if (loaded := self._around.here()) is not None:
            return loaded.manifest.models
        if self._around.service is None and not known_scopes(self._around.root):
            return None
        try:
            state = self._around.state()
        except UsageError:
            if needed:
                raise
            return None
        with Ledger(state.ledger, readonly=True) as ledger:
            config = in_force(ledger)
        return None if config is None else self._around.kept(config).models

    def registry(self, where: str | None, section: Models | None, *, or_service: bool = False) -> ModelRegistry:
        """The registry that is named, else the manifest's. Raises UsageError where there is none; `or_service`: the
        command would have asked a service as well."""
        from release.models.opening import opened
        from release.models.place import Place

        named = section.registry if where is None and section is not None else where
        if named is None:
            raise UsageError(
                "no model registry is named" if not or_service else "neither a model registry nor a service is named",
                hint=f"{'--url URL, ' if or_service else ''}--registry DIR, or `models:` in release.yaml",
            )
        place = named if "://" in named else str(self._around.cwd / Path(named).expanduser())
        return opened(
            Place(place, self._around.root / ".cache" / "models"), lambda text: self._desk.report(Said(text, "warning"))
        )

    def service(self, url: str | None, section: Models | None) -> ModelService | None:
        """The running service that is named, else the manifest's; None where there is none.

        The manifest's token goes to the manifest's service alone; RELEASE_MODELS_TOKEN to whichever is asked.
        """
        from release.config.secret import Secret, read
        from release.models.service import Address, ModelService

        own = section.url if section is not None else None
        named = url if url is not None else own
        if named is None:
            return None
        given = self._around.environ.get("RELEASE_MODELS_TOKEN")
        token = Secret(given) if given else None
        if token is None and section is not None and section.token is not None and own in (None, named):
            token = read("models.token", section.token)
        return ModelService(Address(named, section.prefix if section is not None else "", token))

    def board(
        self,
        url: str | None,
        registry: str | None,
        section: Models | None,
        *,
        together: bool = False,
        expect: int | None = None,
    ) -> Board:
        """Where versions are switched: what is named, else the manifest's service, else its registry. `expect`: the
        generation of a service that is to be switched."""
        from release.models.marking import RegistryBoard
        from release.models.switching import ServiceBoard

        service = self.service(url, section) if registry is None else None
        if service is not None:
            return ServiceBoard(service, together=together, expect=expect)
        if expect is not None:
            raise UsageError("a registry has no generations", hint="--expect is for a running service")
        if together:
            raise UsageError(
                "in a registry every component goes back alone", hint="--together is for a running service"
            )
        return RegistryBoard(self.registry(registry, section, or_service=True))

    def switched(self) -> list[tuple[str, str]]:
        """Component and version of what was switched to last and of what was there before, by every service's ledger:
        several may have their models in one registry."""
        from release.operations.models import switched_to

        found: list[tuple[str, str]] = []
        for scope in known_scopes(self._around.root):
            with Ledger(State(self._around.root, scope).ledger, readonly=True) as ledger:
                found += switched_to(ledger)
        return found
