"""Which files can run code when they are loaded: pickles, by their content and by their name. Nothing is unpickled."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

from modelhost.errors import UnsafeWeights

_ENDINGS = frozenset({".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".cloudpickle"})
_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_ZIP = b"PK\x03\x04"


def refuse_pickles(files: Mapping[str, Path], allowed: Collection[str] = ()) -> None:
    """Raise UnsafeWeights, naming each pickle among `files` (name in the version → file) that is not `allowed`."""
    unsafe = {name: reason for name, path in sorted(files.items()) if (reason := why_unsafe(name, path))}
    refused = [f"{name} ({reason})" for name, reason in unsafe.items() if name not in allowed]
    if refused:
        raise UnsafeWeights(
            f"these files can run code when they are loaded: {', '.join(refused)}",
            "store the weights as safetensors, or allow these files by name if you trust where they come from",
        )


def why_unsafe(name: str, path: Path) -> str | None:
    """Why a file can run code when it is loaded, or None where nothing says so. Raises OSError."""
    if found := _pickle_inside(path):
        return found
    endings = {ending.lower() for ending in Path(name).suffixes}
    if unsafe := sorted(endings & _ENDINGS):
        return f"{unsafe[0]} is a pickle's ending"
    # pytorch_model.bin is a pickle, model.bin of CTranslate2 is not: only what is known to be none may pass.
    if name.lower().endswith(".bin") and not _is_ctranslate2(path):
        return ".bin, and nothing known that is not a pickle"
    return None


def _pickle_inside(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(4)
        if head.startswith(_PROTOCOLS):
            file.seek(-1, 2)
            # Every pickle ends with STOP; torch's old format is several pickles, then raw storages.
            return "a pickle" if file.read(1) == b"." or _is_old_torch(path) else None
    if head == _ZIP:
        try:
            with zipfile.ZipFile(path) as archive:
                inside = [name for name in archive.namelist() if name.lower().endswith((".pkl", ".pickle"))]
        except (zipfile.BadZipFile, NotImplementedError, OSError):
            return "a zip that cannot be read"
        if inside:
            return f"a zip with {inside[0]}"
    return None


def _is_old_torch(path: Path) -> bool:
    with path.open("rb") as file:
        # pickle.dump(MAGIC_NUMBER): the long 0x1950a86a20f9469cfc6c, little-endian, among the first bytes.
        return bytes.fromhex("6cfc9c46f9206aa85019") in file.read(32)


def _is_ctranslate2(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(6)
        if len(head) < 6:
            return False
        version, length = struct.unpack("<IH", head)
        name = file.read(min(length, 64))
    return 1 <= version < 100 and name.endswith(b"\0") and name[:-1].decode("ascii", "replace").isidentifier()
