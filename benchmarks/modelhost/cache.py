"""Files in the page cache, and out of it: without any privilege, and with a look at whether it worked."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 4 << 20


def warm(paths: Iterable[Path]) -> None:
    """Reads the files once."""
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(_CHUNK):
                pass


def drop(path: Path) -> float:
    """Asks the kernel to forget the file's pages; returns the share of them that is still there.

    Pages that are mapped somewhere, or not yet written, stay; a file system in memory keeps them all.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
    return cached(path)


def cached(path: Path) -> float:
    """The share of the file's pages that are in memory, by mincore(2); 1 for an empty file."""
    size = path.stat().st_size
    if not size:
        return 1.0
    pages = -(-size // mmap.PAGESIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, *[ctypes.c_size_t] + [ctypes.c_int] * 3, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, handle, 0)
    finally:
        os.close(handle)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), f"{path} cannot be mapped")
    try:
        marks = ctypes.create_string_buffer(pages)
        if libc.mincore(address, size, marks) != 0:
            raise OSError(ctypes.get_errno(), f"the pages of {path} cannot be counted")
    finally:
        libc.munmap(address, size)
    return sum(mark & 1 for mark in marks.raw) / pages
