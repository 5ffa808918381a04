"""The versions in memory: where they come from, how they are hosted, which one a request gets."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from modelhost.cluster.membership import Membership
from modelhost.config.load import load
from modelhost.config.model import Settings as Configured
from modelhost.config.reload import Prepared
from modelhost.errors import ModelHostError
from modelhost.host.host import ModelHost
from modelhost.host.reloading import Nothing
from modelhost.loading.base import Loaded
from modelhost.metadata import canonical_version
from modelhost.registry.base import Entry, Status
from modelhost.registry.directory import DirectoryRegistry
from translator import bundle
from translator.bundle import COMPONENTS, MODEL, POSTPROCESSING, TOKENIZER, name_of
from translator.components import demand_devices, import_libraries, loaders
from translator.errors import StartError
from translator.model import BATCH, Translator
from translator.settings import MODELS, Settings, model_folders
from translator.state import demand_state, state_folder, state_is_lost

LOG = logging.getLogger("uvicorn.error")
SET = "translation"
FALLBACK = "translator.fallback:dictionary"


class Hosting:
    """A host of modelhost with the translator's components. `open` is quick and loads nothing; `start` loads."""

    def __init__(self, settings: Settings, host: ModelHost, registry: Path | None, scratch: Path) -> None:
        self.settings = settings
        self.host = host
        self.membership = Membership.of(host) if host.settings.cluster is not None else None
        self._registry = registry
        self._scratch = scratch

    @classmethod
    def open(cls, settings: Settings) -> Hosting:
        """Everything but the models. Raises `StartError`."""
        scratch = Path(tempfile.mkdtemp(prefix="translator-"))
        host: ModelHost | None = None
        try:
            registry = None if settings.configuration else registry_folder(settings, scratch)
            configuration = settings.configuration or scratch / "modelhost.yaml"
            if registry is not None:
                if registry.parent == scratch:
                    registry.mkdir()
                (scratch / "modelhost.yaml").write_text(yaml.safe_dump(configured(settings, registry)))
            # Before the host asks a device for its memory, which is another thing to be told.
            demand_devices(load(configuration, os.environ).components)
            host = ModelHost.open(
                configuration,
                loaders(settings.limits.waiting, settings.beams, settings.allow_pickle, settings.engine),
                state=state_folder(settings) or scratch / "state",
                start=False,
            )
            lacking = set(COMPONENTS) - host.settings.components.keys()
            if lacking:
                raise StartError(f"{configuration} has no component {', '.join(sorted(lacking))}")
            host.configuration.follow("the translator", refuse_devices)
            demand_state(settings)
            return cls(settings, host, registry, scratch)
        except BaseException as error:
            if host is not None:
                host.close(0.0)
            shutil.rmtree(scratch, ignore_errors=True)
            if isinstance(error, ModelHostError):
                raise StartError(str(error)) from error
            raise

    def start(self) -> None:
        """Fill the registry where it is empty, load and warm up the first set. Raises `StartError`.

        A member of a cluster goes on loading what is committed there when this returns.
        """
        if lost := state_is_lost(self.settings):
            LOG.warning("%s", lost)
        import_libraries(self.settings.engine)
        try:
            if self._registry is not None:
                self._fill(self._registry)
            if self.membership is not None:
                self.membership.start()
                return
            record = self.host.start()
        except ModelHostError as error:
            raise StartError(str(error)) from error
        for note in record.notes:
            LOG.warning("%s", note)

    def close(self) -> None:
        """After `ModelHttp.close`: what lay on the disk for this process alone."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _fill(self, registry: Path) -> None:
        settings = self.settings
        if settings.model_dir is None or published(registry):
            return
        folders = bundled_folders(settings)
        bundle.fill(registry, folders, settings.engine != "torch", settings.allow_pickle)
        bundle.mark_stable(registry, bundle.stable_up_to(folders, settings.model_dir), "served at first")

    # -- what there is ---------------------------------------------------------------------------------------------

    def serving(self) -> Loaded | None:
        """The model that serves; None before the first."""
        live = self.host.serving.live.serving()
        return live[MODEL] if live is not None else None

    def numbered(self, asked: str | None) -> str | None:
        """The number of the version that somebody asks for by what people call it, as a folder without a number is;
        anything else as it was."""
        if asked is None or is_number(asked):
            return asked
        return next((each.version for each in self.host.shelf.entries(MODEL) if name_of(each) == asked), asked)

    def versions(self) -> list[tuple[Entry, str]]:
        """The versions that anybody may ask for, the newest first, and of each whether it is `serving`, `loaded` or
        `available` (it is loaded for the first who asks)."""
        serving = self.serving()
        resident = {each.version for each in self.host.pool.residents() if each.component == MODEL}
        routable = self.host.settings.components[MODEL].routable
        found = []
        for entry in self.host.shelf.entries(MODEL):
            if serving is not None and entry.version == serving.version:
                found.append((entry, "serving"))
            elif entry.version in resident:
                found.append((entry, "loaded"))
            elif entry.version in routable:
                found.append((entry, "available"))
        return found


def refuse_devices(new: Configured, old: Configured) -> Prepared:
    """For a reload: raises ConfigError for a device on which nothing here runs."""
    demand_devices(new.components)
    return Nothing()


def is_number(text: str) -> bool:
    """Whether it is a version, with a `v` before it or not."""
    try:
        canonical_version(text)
    except ValueError:
        return False
    return True


def registry_folder(settings: Settings, scratch: Path) -> Path:
    """Where versions come from. A model named by MODEL_DIR has a registry of its own, for as long as it serves."""
    return scratch / "registry" if settings.registry is None or settings.alone else settings.registry


def published(registry: Path) -> list[str]:
    """The versions of `model` that a registry has, but for the rejected ones. Raises ModelHostError."""
    there = DirectoryRegistry(registry)
    if MODEL not in there.components():
        return []
    return [entry.version for entry in there.versions(MODEL) if entry.status is not Status.REJECTED]


def bundled_folders(settings: Settings) -> list[Path]:
    """The folders that an empty registry is filled from."""
    if settings.alone and settings.model_dir is not None:
        return [settings.model_dir]
    return model_folders(MODELS)


def configured(settings: Settings, registry: Path) -> Mapping[str, Any]:
    """modelhost's configuration, as these settings mean it; `TRANSLATOR_CONFIG` names another."""
    there = published(registry) or [bundle.version_of(folder) for folder in bundled_folders(settings)]
    model: dict[str, Any] = {
        "threads": settings.threads,
        "batch_size": BATCH,
        "routable": there,
        "fallback": FALLBACK,
    }
    if settings.allow_pickle:
        model["allow_pickles"] = ["pytorch_model.bin"]
    http: dict[str, Any] = {"tokens": str(settings.tokens)} if settings.tokens else {}
    return {
        "registry": {"root": str(registry)},
        "components": {MODEL: model, TOKENIZER: {}, POSTPROCESSING: {}},
        "sets": {SET: list(COMPONENTS)},
        "http": http,
    }


def translator_of(members: Mapping[str, Loaded]) -> Translator:
    """The three parts of a set whose model is a model, and no fallback."""
    model = members[MODEL]
    parts = members[TOKENIZER].model, model.model.network, members[POSTPROCESSING].model
    return Translator(*parts, model.placement.batch_size)
