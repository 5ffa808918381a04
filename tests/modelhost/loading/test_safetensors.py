"""The stock loader: mapped tensors in a new module, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelhost.errors import IntegrityError, Refused
from modelhost.loading.base import Placement
from modelhost.loading.safetensors import SafetensorsLoader, TorchModel
from modelhost.registry.base import Entry
from tests.modelhost.loading.published import damage, put, tiny

torch = pytest.importorskip("torch", reason="the stock loader is for services that have torch")

Put = Callable[[str, dict[str, Any]], Entry]


WIDTH = 512
CUT_OFF = """
import os, sys
from pathlib import Path
import torch
from modelhost.errors import IntegrityError
from modelhost.loading.base import Placement
from modelhost.loading.safetensors import SafetensorsLoader
from tests.modelhost.loading.published import put
home = Path(sys.argv[1])
entry = put(home / "models", home / "1.0.0", "1.0.0", {"weight": torch.ones(512, 512)})
loader = SafetensorsLoader(lambda entry: torch.nn.Linear(512, 512, bias=False))
loaded = loader.load(entry, Placement())
os.chmod(entry.path / "weights.safetensors", 0o644)
os.truncate(entry.path / "weights.safetensors", 4096)
try:
    loader.warm_up(loaded)
except IntegrityError as error:
    print(error)
"""


def mapped(path: Path) -> int:
    """Bytes of a file that this process reads without a page fault."""
    found, here = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            here = line.endswith(str(path))
        elif here and first == "Rss:":
            found += int(line.split()[1]) << 10
    return found


def forget(path: Path) -> None:
    """The system has nothing of a file in memory, where one page would bring in two megabytes."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Tiny(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.layer(x)


class Tied(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Two layers of one weight, and a buffer that is in no file."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, 4, bias=False)
        self.second = torch.nn.Linear(4, 4, bias=False)
        self.register_buffer("scale", torch.ones(4), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x)) * self.scale


def finish(module: Any, entry: Entry) -> None:
    module.second.weight = module.first.weight
    module.scale = torch.full((4,), 2.0)


@pytest.fixture
def publish(tmp_path: Path) -> Put:
    return lambda version, tensors: put(tmp_path / "models", tmp_path / version, version, tensors)


def test_the_loaded_module_answers_with_the_weights_of_the_files(publish: Put) -> None:
    warmed: list[TorchModel] = []
    loader = SafetensorsLoader(lambda entry: Tiny(), warm_up=warmed.append)
    loaded = loader.load(publish("1.0.0", tiny(2.0)), Placement())
    loader.warm_up(loaded)
    answer = loaded.model(torch.ones(1, 4))
    assert answer.tolist() == [[8.0] * 4]
    assert not answer.requires_grad and not loaded.model.module.training
    assert warmed == [loaded.model]


def test_the_estimate_covers_what_it_holds(publish: Put) -> None:
    entry = publish("1.0.0", tiny(2.0))
    loader = SafetensorsLoader(lambda entry: Tiny())
    loaded = loader.load(entry, Placement())
    assert loaded.bytes >= (16 + 4) * 4
    assert loader.estimate(entry, Placement()) >= (16 + 4) * 4


def test_two_versions_live_side_by_side_and_share_nothing(publish: Put) -> None:
    loader = SafetensorsLoader(lambda entry: Tiny())
    old = loader.load(publish("1.0.0", tiny(1.0)), Placement())
    new = loader.load(publish("2.0.0", tiny(5.0)), Placement())
    assert old.model(torch.ones(1, 4))[0, 0] == 4.0
    assert new.model(torch.ones(1, 4))[0, 0] == 20.0


def test_tied_weights_and_buffers_in_no_file_are_made_at_the_end(publish: Put) -> None:
    entry = publish("1.0.0", {"first.weight": torch.eye(4) * 3})
    loaded = SafetensorsLoader(lambda entry: Tied(), finish=finish).load(entry, Placement())
    assert loaded.model(torch.ones(1, 4)).tolist() == [[18.0] * 4]
    with pytest.raises(Refused, match=r"has no values for second\.weight, scale"):
        SafetensorsLoader(lambda entry: Tied()).load(entry, Placement())


def test_weights_of_another_model_are_refused(publish: Put) -> None:
    loader = SafetensorsLoader(lambda entry: Tiny())
    more = {**tiny(1.0), "extra": torch.zeros(1)}
    with pytest.raises(Refused, match="tensors that the module lacks: extra"):
        loader.load(publish("1.0.0", more), Placement())
    other = {"layer.weight": torch.zeros(5, 4), "layer.bias": torch.zeros(5)}
    with pytest.raises(Refused, match="size mismatch"):
        loader.load(publish("2.0.0", other), Placement())


def test_a_cut_file_is_an_integrity_error_where_nobody_hashed_it_before(publish: Put) -> None:
    entry = publish("1.0.0", tiny(1.0))
    damage(entry, "cut")
    with pytest.raises(IntegrityError, match=r"weights\.safetensors cannot be read"):
        SafetensorsLoader(lambda entry: Tiny()).load(entry, Placement())


def large(entry: Entry) -> Any:
    return torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4)))


def test_no_page_of_the_files_is_left_to_be_brought_in_by_a_request(publish: Put) -> None:
    entry = publish("1.0.0", {f"{number}.weight": torch.ones(WIDTH, WIDTH) for number in range(4)})
    weights = entry.path / "weights.safetensors"
    forget(weights)
    loader = SafetensorsLoader(large)
    loaded = loader.load(entry, Placement())
    assert mapped(weights) < loaded.bytes / 2, "a load alone touches few of them"
    loader.warm_up(loaded)
    assert mapped(weights) >= loaded.bytes


def test_a_file_that_was_cut_off_after_the_load_is_refused_and_ends_no_process(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", CUT_OFF, str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    assert "model 1.0.0: its files cannot be read" in process.stdout


def test_closing_frees_the_tensors_even_where_somebody_kept_the_module(publish: Put) -> None:
    loaded = SafetensorsLoader(lambda entry: Tiny()).load(publish("1.0.0", tiny(1.0)), Placement())
    kept = loaded.model.module
    loaded.close()
    assert all(parameter.is_meta for parameter in kept.parameters())


def test_a_call_runs_with_the_threads_of_its_placement_in_whichever_thread(publish: Put) -> None:
    seen: list[int] = []

    class Nosy(Tiny):
        def forward(self, x: Any) -> Any:
            seen.append(torch.get_num_threads())
            return super().forward(x)

    loader = SafetensorsLoader(lambda entry: Nosy())
    entry = publish("1.0.0", tiny(1.0))
    models = [loader.load(entry, Placement(threads=threads)).model for threads in (1, 2, 1)]
    before = torch.get_num_threads()
    try:
        for model in models:
            thread = threading.Thread(target=model, args=(torch.ones(1, 4),))
            thread.start()
            thread.join()
        for model in models:
            model(torch.ones(1, 4))
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 2, 1, 1, 2, 1]


def test_a_list_of_items_is_cut_into_batches() -> None:
    model = TorchModel(Tiny(), Placement(batch_size=2))
    assert list(model.batches([1, 2, 3, 4, 5])) == [[1, 2], [3, 4], [5]]
