"""Code that configurations of these tests name as fallbacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def older(answer: dict[str, Any]) -> dict[str, Any]:
    """From `tiny/2` to `tiny/1`: one text, where the newer has a list."""
    return {**answer, "text": answer["texts"][0]}


def newer(asked: dict[str, Any]) -> dict[str, Any]:
    """A request in `tiny/1` as one in `tiny/2`."""
    return {"texts": [asked["text"]], "beams": asked.get("beams", 4)}
