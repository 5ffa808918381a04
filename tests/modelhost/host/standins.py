"""Code that configurations of these tests name as fallbacks."""

from __future__ import annotations

from pathlib import Path

from modelhost.loading.base import Loaded
from modelhost.metadata import Interface
from modelhost.serving.fallback import fallback


def dictionary() -> Loaded:
    """A stand-in for `model`."""
    text = {"name": "x", "datatype": "BYTES", "shape": [-1]}
    shape = Interface.model_validate({"inputs": [text], "outputs": [text], "shape": "tiny/1"})
    return fallback("model", lambda: "word by word", Path(__file__), shape, "word by word")


def nothing() -> str:
    """No fallback at all."""
    return "nothing"
