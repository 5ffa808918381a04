"""What an engine costs a process: `python -m translator.footprint ENGINE FOLDER BEAMS` loads it there and says so."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from translator.ctranslate import CompiledNetwork
from translator.network import Network
from translator.torch_engine import TorchNetwork

ENGINES = ("torch", "ctranslate2")
LIBRARIES = {"torch": ("torch", "transformers.models.marian.modeling_marian"), "ctranslate2": ("ctranslate2",)}
ROW = [*range(3, 40), 0]


@dataclass(frozen=True)
class Footprint:
    """Seconds that the libraries' import and the load take; MB resident: libraries, with the model, at the most."""

    import_s: float
    load_s: float
    libraries_mb: float
    loaded_mb: float
    peak_mb: float


def load(engine: str, folder: Path, threads: int, beams: int) -> Network:
    """A Marian directory in torch, a converted one in CTranslate2. Raises `StartError`."""
    kinds: dict[str, type[TorchNetwork | CompiledNetwork]] = {"torch": TorchNetwork, "ctranslate2": CompiledNetwork}
    return kinds[engine].load(folder, threads, beams)


def footprint(engine: str, folder: Path, beams: int) -> Footprint:
    """Measured in a process of its own, which has no other engine in memory."""
    command = [sys.executable, "-m", "translator.footprint", engine, str(folder), str(beams)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    return Footprint(**json.loads(said.stdout))


def main() -> None:
    """Import, load, translate 32 rows; print JSON."""
    engine, folder, beams = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    begun = time.perf_counter()
    for library in LIBRARIES[engine]:
        importlib.import_module(library)
    imported, libraries = time.perf_counter(), memory("VmRSS")
    network = load(engine, folder, threads=1, beams=beams)
    loaded = time.perf_counter()
    network.generate([ROW] * 32)
    found = Footprint(imported - begun, loaded - imported, libraries, memory("VmRSS"), memory("VmHWM"))
    print(json.dumps(asdict(found)))


def memory(line: str) -> float:
    """MB that /proc/self/status says in `line`."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.split(f"{line}:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
