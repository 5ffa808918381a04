"""A host on a real registry, configuration and history, whose models answer with their own name and version."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhost.host.host import ModelHost
from tests.modelhost.serving.workshop import TextLoader, Workshop

PAIR = """
    registry: {root: models}
    components: {model: {}, tokenizer: {}}
    sets: {translation: [model, tokenizer]}
    memory: {budget: 10MB}
"""


@dataclass
class Service:
    """`publish` through `shop`, then `open`."""

    path: Path
    open_hosts: list[ModelHost] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shop = Workshop(self.path)

    @property
    def loader(self) -> TextLoader:
        return self.shop.loader

    @property
    def file(self) -> Path:
        return self.path / "modelhost.yaml"

    def pair(self, *versions: str, **more: Any) -> None:
        """Versions of a tokenizer, and of a model that each work with the tokenizer of their own number alone."""
        for version in versions:
            digest = self.shop.publish("tokenizer", version, **more)
            self.shop.publish("model", version, mates={"tokenizer": digest}, **more)

    def write(self, text: str) -> None:
        self.file.write_text(textwrap.dedent(text))

    def open(self, text: str | None = None, **settings: Any) -> ModelHost:
        if text is not None:
            self.write(text)
        settings = {"hangup": False, "upkeep_seconds": 0.05, "loaders": {"safetensors": self.loader}, **settings}
        host = ModelHost.open(self.file, **settings)
        self.open_hosts.append(host)
        return host

    def end(self) -> None:
        for gate in self.loader.gates.values():
            gate.set()
        for host in self.open_hosts:
            host.close(5.0)


def words(host: ModelHost, *arguments: Any, **options: Any) -> dict[str, str]:
    """What a request gets: component → the words of its model."""
    with host.request(*arguments, **options) as models:
        return {name: models[name].model() for name in models.set}
