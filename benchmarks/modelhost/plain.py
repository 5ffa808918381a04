"""The same service without modelhost: `python -m benchmarks.modelhost.plain FOLDER PORT VERSION`.

It has one module for each component. `POST /reload?version=` does what is done where nobody thinks of those who ask
meanwhile: `load_state_dict` into the module that serves. A restart with another version is the other usual way.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from benchmarks.modelhost import memory, network
from benchmarks.modelhost.evidence import told
from benchmarks.modelhost.published import LARGE, PAIR, REGISTRY, WIDTH, weights
from benchmarks.modelhost.serve import serve
from modelhost.registry.directory import DirectoryRegistry


class Plain:
    """The modules that serve, and what is loaded into them."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        registry = DirectoryRegistry(folder / REGISTRY)
        self.names = PAIR if (folder / REGISTRY / PAIR[0]).exists() else (LARGE,)
        self.settings = registry.find(self.names[0], version).info.settings
        self.modules = {name: network.build(self.settings).eval().requires_grad_(False) for name in self.names}
        self.reload(version)
        for module in self.modules.values():
            network.use(module, self.settings)

    def reload(self, version: str) -> float:
        """Loads into the live modules, one after the other; returns the seconds that took."""
        from safetensors.torch import load_file

        started = time.perf_counter()
        for name, module in self.modules.items():
            module.load_state_dict(load_file(weights(self.folder, name, version)))
        return time.perf_counter() - started

    def answer(self) -> str:
        """As the other service answers; it names no version, for it does not know."""
        import torch

        with torch.inference_mode():
            if LARGE in self.modules:
                self.modules[LARGE](torch.ones(WIDTH), 1)
                return told({1.0}, {1.0}, None)
            encoder, decoder = (network.values(self.modules[name], self.settings["width"]) for name in PAIR)
            return told(encoder, decoder, None)


def main() -> None:
    folder, port, version = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    before = memory.uss()
    plain = Plain(folder, version)
    app = FastAPI()

    @app.get("/ask")
    async def ask() -> dict[str, Any]:
        return {"told": await asyncio.to_thread(plain.answer)}

    @app.post("/reload")
    async def reload(version: str) -> dict[str, Any]:
        return {"seconds": {"total": await asyncio.to_thread(plain.reload, version)}}

    @app.get("/before")
    async def without_a_model() -> dict[str, int]:
        return {"bytes": before}

    serve(app, port)


if __name__ == "__main__":
    main()
