"""Where and how a version runs, as the configuration says: sentences in one forward, and the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelhost.errors import ConfigError
from modelhost.loading.base import Placement
from modelhost.registry.base import Entry
from modelhost.registry.directory import DirectoryRegistry
from tests.translator.test_worker import Shouting
from translator import bundle
from translator.components import CompiledLoader, ModelLoader
from translator.errors import StartError
from translator.hosting import Hosting, configured, translator_of
from translator.model import Translator
from translator.network import Rows, Written
from translator.settings import MODELS, Settings, model_folders
from translator.worker import Worker

CONFIGURATION = """
registry: {{root: registry}}
components: {{model: {model}, tokenizer: {tokenizer}, postprocessing: {{}}}}
sets: {{translation: [model, tokenizer, postprocessing]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a registry of the bundled versions."""
    path, folders = tmp_path_factory.mktemp("placement"), model_folders(MODELS)
    bundle.fill(path / "registry", folders)
    bundle.mark_stable(path / "registry", folders, "a test")
    return path


def configuration(folder: Path, model: str = "{}", tokenizer: str = "{}") -> dict[str, str]:
    """The environment of a service with this said of its components."""
    (folder / "modelhost.yaml").write_text(CONFIGURATION.format(model=model, tokenizer=tokenizer))
    return {"TRANSLATOR_CONFIG": str(folder / "modelhost.yaml"), "TRANSLATOR_STATE": str(folder / "state")}


@pytest.fixture
def hosting(folder: Path) -> Iterator[Hosting]:
    """A host of which each version has another batch."""
    said = "{batch_size: 5, default: 1.1.0, versions: {1.0.0: {batch_size: 2}}}"
    opened = Hosting.open(Settings.from_environment(configuration(folder, said)))
    opened.start()
    yield opened
    opened.host.close()
    opened.close()


@dataclass
class Counting:
    """A network that notes how many rows each forward has."""

    real: Any
    forwards: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def write(self, rows: Rows) -> list[Written]:
        self.forwards.append(len(rows))
        written: list[Written] = self.real.write(rows)
        return written


def forwards(parts: Translator, sentences: int) -> list[int]:
    """Rows of each forward that these parts need for so many sentences."""
    network = Counting(parts.network)
    Translator(parts.tokenizer, network, parts.postprocessing, parts.batch).translate(["你好。"] * sentences)
    return network.forwards


def test_the_batch_of_each_version_is_what_the_configuration_says_of_it(hosting: Hosting) -> None:
    serving = hosting.host.serving.live.serving()
    assert serving is not None
    assert forwards(translator_of(serving), 12) == [5, 5, 2]
    hosting.host.promote({"model": "1.0.0"}, who="ann", why="a test")
    serving = hosting.host.serving.live.serving()
    assert serving is not None
    assert forwards(translator_of(serving), 5) == [2, 2, 1]


def test_a_worker_takes_no_further_job_into_a_full_batch(hosting: Hosting) -> None:
    loaded = hosting.serving()
    assert loaded is not None
    model, worker = Shouting(), loaded.model.worker
    first = worker.submit(model, ["held"])
    model.begun.wait()
    jobs = [worker.submit(model, [f"{number}"]) for number in range(7)]
    model.go.set()
    assert [job.result().lines for job in (first, *jobs)] == [["HELD"], *([f"{number}"] for number in range(7))]
    assert [len(batch) for batch in model.batches] == [1, 5, 2]


def test_the_services_own_configuration_names_the_batch_that_it_has_always_had(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    written = configured(Settings.from_environment({}), tmp_path / "registry")
    assert written["components"]["model"]["batch_size"] == 32


@pytest.mark.parametrize(
    ("model", "tokenizer", "named"),
    [
        ("{device: 'cuda:0'}", "{}", r"components\.model is to run on cuda:0"),
        ("{versions: {1.0.0: {device: cuda}}}", "{}", r"components\.model is to run on cuda"),
        ("{}", "{device: mps}", r"components\.tokenizer is to run on mps"),
    ],
)
def test_a_device_that_no_engine_computes_on_is_refused_at_the_start(
    folder: Path, model: str, tokenizer: str, named: str
) -> None:
    with pytest.raises(StartError, match=f"{named}, and both engines compute on cpu"):
        Hosting.open(Settings.from_environment(configuration(folder, model, tokenizer)))


def test_and_by_a_reload_which_leaves_what_runs(hosting: Hosting, folder: Path) -> None:
    configuration(folder, "{versions: {1.0.0: {device: 'cuda:0'}}}")
    reload = hosting.host.reload()
    assert not reload.ok and "components.model is to run on cuda:0" in reload.error
    assert hosting.host.settings.components["model"].placement("1.0.0") == Placement("cpu", 1, 2)


@pytest.mark.parametrize("kind", [ModelLoader, CompiledLoader])
def test_and_by_the_loader_itself(folder: Path, kind: type[ModelLoader]) -> None:
    entry: Entry = DirectoryRegistry(folder / "registry").find("model")
    with pytest.raises(ConfigError, match=r"model 1\.1\.0 is to run on cuda:1"):
        kind(waiting=1).load(entry, Placement(device="cuda:1"))


def test_a_job_that_is_larger_than_a_batch_is_taken_as_a_whole() -> None:
    model, worker = Shouting(), Worker(waiting=4, together=2)
    model.go.set()
    worker.start()
    assert worker.submit(model, ["a", "b", "c"]).result().lines == ["A", "B", "C"]
    worker.close()
