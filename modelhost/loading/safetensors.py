"""The stock loader of torch modules from safetensors: mapped files, no copy, no time spent on random weights.

The module is built on `meta`, where parameters have shapes and no memory; the files are mapped; the mapped tensors are
assigned. It is always a new module: loading into one that serves lets requests see mixed weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from modelhost.errors import IntegrityError, ModelHostError, Refused
from modelhost.loading.base import Loaded, Placement
from modelhost.loading.memory import CPU
from modelhost.loading.pages import populate
from modelhost.loading.wanted import demand_wanted
from modelhost.registry.base import Entry

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
ENDING = ".safetensors"


class TorchModel:
    """A module and where it runs. Call it like the module: no gradients, `threads` threads of this call."""

    def __init__(self, module: torch.nn.Module, placement: Placement) -> None:
        self.module = module
        self.placement = placement

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        import torch

        if torch.get_num_threads() != self.placement.threads:
            torch.set_num_threads(self.placement.threads)  # OpenMP keeps it per calling thread
        with torch.inference_mode():
            return self.module(*inputs, **options)

    def batches(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """The items in the order given, at most `batch_size` at a time."""
        for start in range(0, len(items), self.placement.batch_size):
            yield items[start : start + self.placement.batch_size]


class SafetensorsLoader:
    """Loads every `*.safetensors` file of a version into the module that `build` makes of it.

    `build(entry)` returns a new module; it runs with `meta` as the default device. `finish(module, entry)` makes what
    is in no file, on the device: tied weights, buffers that are not saved. `warm_up(model)` uses the TorchModel as a
    request would; the pages of the mapped files are brought in before that, so that no request waits for one. What is
    neither in a file nor made by `finish` is refused, and so is a tensor that nothing wants.
    """

    def __init__(
        self,
        build: Callable[[Entry], torch.nn.Module],
        *,
        finish: Callable[[torch.nn.Module, Entry], None] = lambda module, entry: None,
        warm_up: Callable[[TorchModel], object] = lambda model: None,
    ) -> None:
        import safetensors.torch  # noqa: F401  # before a host opens: what is imported by then costs no collection

        self._build = build
        self._finish = finish
        self._warm_up = warm_up

    def estimate(self, entry: Entry, placement: Placement) -> int:
        """Bytes of the tensor files: they are served as they are stored."""
        return sum(file.bytes for file in entry.info.files if file.path.endswith(ENDING))

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        """Raises IntegrityError for a file that is no safetensors, Refused for tensors that the module does not fit."""
        import torch

        with torch.device("meta"):
            module = self._build(entry)
        tensors = _tensors(entry, placement.device)
        try:
            unexpected = module.load_state_dict(tensors, strict=False, assign=True).unexpected_keys
        except RuntimeError as error:
            raise Refused(
                f"{_name(entry)}: {_first_lines(error)}", "the code builds another model than this"
            ) from error
        with torch.device(placement.device):
            self._finish(module, entry)
        _demand_whole(module, unexpected, entry)
        module.eval().requires_grad_(False)
        model = TorchModel(module, placement)
        return Loaded(entry, model, _bytes(module), placement, lambda: _free(module, placement.device))

    def warm_up(self, loaded: Loaded) -> None:
        """Brings its pages in, and uses it as a request would. Raises IntegrityError for files that were cut off."""
        try:
            populate(_in_memory(loaded.model.module), demand_wanted)
        except OSError as error:
            raise IntegrityError(
                f"{_name(loaded.entry)}: its files cannot be read: {error}", "publish it anew under another number"
            ) from error
        self._warm_up(loaded.model)


def _tensors(entry: Entry, device: str) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    paths = [entry.path / file.path for file in entry.info.files if file.path.endswith(ENDING)]
    if not paths:
        raise Refused(
            f"{_name(entry)} has no {ENDING} file", f"its files: {_listed([f.path for f in entry.info.files])}"
        )
    tensors: dict[str, torch.Tensor] = {}
    for path in paths:
        demand_wanted()
        try:
            part = load_file(path, device=device)
        except (SafetensorError, OSError) as error:
            raise _unreadable(entry, path, error) from error
        twice = sorted(tensors.keys() & part.keys())
        if twice:
            raise Refused(f"{_name(entry)} holds {_listed(twice)} in more than one file", "publish each tensor once")
        tensors.update(part)
    return tensors


def _unreadable(entry: Entry, path: Path, error: Exception) -> ModelHostError:
    where = path.relative_to(entry.path).as_posix()
    return IntegrityError(f"{_name(entry)}: {where} cannot be read: {error}", "publish it anew under another number")


def _demand_whole(module: torch.nn.Module, unexpected: Sequence[str], entry: Entry) -> None:
    if unexpected:
        raise Refused(
            f"{_name(entry)} has tensors that the module lacks: {_listed(unexpected)}",
            "the code builds another model than this",
        )
    hollow = [name for name, tensor in _named(module) if tensor.is_meta]
    if hollow:
        raise Refused(
            f"{_name(entry)} has no values for {_listed(hollow)}", "they are in no file; `finish` may make or tie them"
        )


def _named(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _bytes(module: torch.nn.Module) -> int:
    return sum(_storages(tensor for _, tensor in _named(module)).values())


def _in_memory(module: torch.nn.Module) -> list[tuple[int, int]]:
    """Where on the CPU its tensors lie: address, bytes."""
    return list(_storages(tensor for _, tensor in _named(module) if tensor.device.type == CPU).items())


def _storages(tensors: Iterable[torch.Tensor]) -> dict[int, int]:
    """Address → bytes, each storage once: tied weights share one."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


def _free(module: torch.nn.Module, device: str) -> None:
    """Also where somebody still refers to the module: it is hollow afterwards, and a use of it fails."""
    import torch

    module.to("meta")
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def _name(entry: Entry) -> str:
    return f"{entry.component} {entry.version}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(lines[:4])
