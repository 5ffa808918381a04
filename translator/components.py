"""The three components as modelhost loads them: tokenizer, model, postprocessing. Each is made anew beside the old."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelhost.config.model import ComponentSection
from modelhost.errors import ConfigError, IntegrityError
from modelhost.loading.base import Loaded, Loader, Placement
from modelhost.registry.base import Entry
from translator import postprocessing
from translator.bundle import COMPONENTS, MARIAN, POSTPROCESSING, TOKENIZER
from translator.conversion import COMPILED
from translator.ctranslate import CompiledNetwork
from translator.errors import StartError
from translator.network import Network
from translator.postprocessing import Postprocessing
from translator.tokenizer import LIBRARY, Tokenizer
from translator.torch_engine import TorchNetwork
from translator.worker import Worker

DEVICE = "cpu"  # where both engines compute
WIDE = 2  # half-precision weights are computed as 32-bit floats


@dataclass(frozen=True)
class Computing:
    """A model in memory: the network and the one thread that computes it."""

    network: Network
    worker: Worker


class TokenizerLoader:
    """Loads a vocabulary."""

    def estimate(self, entry: Entry, placement: Placement) -> int:
        """Bytes of its files, and as much again for the tables that are made of them."""
        return 2 * entry.info.bytes

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        """Raises IntegrityError where the files are no vocabulary."""
        try:
            return Loaded(entry, Tokenizer.load(entry.path), self.estimate(entry, placement), placement)
        except StartError as error:
            raise IntegrityError(str(error)) from error

    def warm_up(self, loaded: Loaded) -> None:
        """Encodes and decodes a sentence."""
        loaded.model.decode(loaded.model.encode(["今天天气很好。"], 64))


class PostprocessingLoader:
    """Loads the steps that clean a line."""

    def estimate(self, entry: Entry, placement: Placement) -> int:
        """Bytes of its file."""
        return entry.info.bytes

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        """Raises IntegrityError where the file names steps that are not here."""
        try:
            steps = Postprocessing.load(entry.path / postprocessing.FILE)
        except StartError as error:
            raise IntegrityError(str(error)) from error
        return Loaded(entry, steps, entry.info.bytes, placement)

    def warm_up(self, loaded: Loaded) -> None:
        """Cleans a line."""
        loaded.model("▁a line .")


class ModelLoader:
    """Loads weights into an engine and starts the thread that computes. `beams` 0: as the version says."""

    def __init__(self, waiting: int, beams: int = 0, allow_pickle: bool = False) -> None:
        self.waiting = waiting
        self.beams = beams
        self.allow_pickle = allow_pickle

    def estimate(self, entry: Entry, placement: Placement) -> int:
        """Bytes in memory: the weights as 32-bit floats."""
        return WIDE * sum(file.bytes for file in entry.info.files if COMPILED not in file.path)

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        """Raises IntegrityError where the files are no such model, ConfigError for a device on which none computes."""
        demand_device(f"{entry.component} {entry.version}", [placement.device])
        try:
            network = self.network(entry, placement)
        except StartError as error:
            raise IntegrityError(f"{entry.component} {entry.version}: {error}") from error
        worker = Worker(self.waiting, placement.batch_size)
        worker.start()
        return Loaded(entry, Computing(network, worker), self.estimate(entry, placement), placement, worker.close)

    def network(self, entry: Entry, placement: Placement) -> Network:
        """The weights in torch."""
        return TorchNetwork.load(entry.path, placement.threads, self.beams, self.allow_pickle)

    def warm_up(self, loaded: Loaded) -> None:
        """Computes a short row and a longer one."""
        end = int(json.loads((loaded.entry.path / "config.json").read_text(encoding="utf-8"))["eos_token_id"])
        for length in (1, 8):
            loaded.model.network.generate([[*range(3, 3 + length), end]])


class CompiledLoader(ModelLoader):
    """Loads what was converted for CTranslate2."""

    def estimate(self, entry: Entry, placement: Placement) -> int:
        """Bytes in memory: the files as they are."""
        return sum(file.bytes for file in entry.info.files if file.path.startswith(f"{COMPILED}/"))

    def network(self, entry: Entry, placement: Placement) -> Network:
        """The weights in CTranslate2. Raises `StartError` where the version was published without."""
        folder: Path = entry.path / COMPILED
        if not folder.is_dir():
            raise StartError(
                f"it was published without {COMPILED}/: `python -m translator.bundle REGISTRY --models "
                "FOLDER` makes it, under the next number; or set TRANSLATOR_ENGINE=torch"
            )
        weights = next(file.sha256 for file in entry.info.files if file.path == "model.safetensors")
        return CompiledNetwork.load(folder, placement.threads, self.beams, weights)


def loaders(waiting: int, beams: int, allow_pickle: bool, engine: str) -> dict[str, Loader]:
    """Name in version.json, or in the configuration → loader. `engine`: who computes a model where nothing is said."""
    engines: dict[str, Loader] = {
        "torch": ModelLoader(waiting, beams, allow_pickle),
        "ctranslate2": CompiledLoader(waiting, beams, allow_pickle),
    }
    return {
        **engines,
        MARIAN: engines[engine],
        TOKENIZER: TokenizerLoader(),
        POSTPROCESSING: PostprocessingLoader(),
    }


def import_libraries(engine: str) -> None:
    """What the loaders of the engine need: modelhost sets aside for good what was imported before the first load."""
    with suppress(ImportError), LIBRARY:  # a load says what lacks
        from transformers import MarianTokenizer  # noqa: F401

        if engine == "torch":
            from transformers import MarianMTModel  # noqa: F401
        else:
            import ctranslate2  # type: ignore[import-untyped]  # noqa: F401


def demand_devices(components: Mapping[str, ComponentSection]) -> None:
    """Raises ConfigError where a component, or a version of one, is to run on a device on which nothing here runs."""
    for name in COMPONENTS:
        if name in components:
            demand_device(f"components.{name}", components[name].devices)


def demand_device(what: str, devices: Iterable[str]) -> None:
    """Raises ConfigError for any but the one that there is."""
    if others := sorted(set(devices) - {DEVICE}):
        raise ConfigError(
            f"{what} is to run on {', '.join(others)}, and both engines compute on {DEVICE} alone",
            f"write `device: {DEVICE}`, or leave it out",
        )
