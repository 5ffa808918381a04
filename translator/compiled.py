"""Where the converted weights of a model's folder are: in it, made once and kept, as far as it can be written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from translator.conversion import COMPILED, Conversion, convert, digest_of
from translator.errors import StartError
from translator.torch_engine import weights_file


def compiled(folder: Path, scratch: Path, allow_pickle: bool = False) -> Path:
    """The converted weights: those kept in `folder`/ctranslate2 where they are of these weights, else fresh ones.

    Fresh ones are kept there, or, in a folder that cannot be written, in `scratch`. Raises `StartError`.
    """
    weights, kept = weights_file(folder, allow_pickle), folder / COMPILED
    if _is_of(kept, weights):
        return kept
    if not os.access(folder, os.W_OK):
        kept = scratch / COMPILED
    shutil.rmtree(kept, ignore_errors=True)
    try:
        convert(folder, kept, allow_pickle=allow_pickle)
    except StartError:
        if not _is_of(kept, weights):  # it is where another process was faster
            raise
    return kept


def _is_of(kept: Path, weights: Path) -> bool:
    try:
        return Conversion.read(kept).weights_sha256 == digest_of(weights)
    except (OSError, ValueError, TypeError, KeyError):
        return False
