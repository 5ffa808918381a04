"""Pages of mapped files, entered into this process's tables before a request meets them. CPU memory alone.

A mapped file costs no time to load, and a page fault at the first use of each page: the first requests after a swap
would pay for them. Linux enters many pages in one call (MADV_POPULATE_READ, since 5.14); elsewhere a byte of each page
is read. In pieces, so that other threads get at the memory map in between, and a load can be given up there.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
from collections.abc import Callable, Iterable

PIECE_BYTES = 32 << 20
_TOUCHED_BYTES = 1 << 20  # at once, because other threads of Python wait meanwhile
_MADV_POPULATE_READ = 22
_NOT_KNOWN_HERE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP})
_AGAIN = frozenset({errno.EAGAIN, errno.EINTR})

Range = tuple[int, int]
"""Address and length in bytes."""

Advise = Callable[[int, int], int]
"""Address and length, whole pages → 0, or an errno."""


def populate(ranges: Iterable[Range], between: Callable[[], None] = lambda: None, advise: Advise | None = None) -> None:
    """Makes reading the ranges free of page faults. `between` is called before each piece, and may raise.

    Raises OSError where the bytes cannot be had: EFAULT for a mapped file that was cut off, where a use of it would end
    the process.
    """
    ask = advise or _madvise
    for start, length in _whole_pages(ranges):
        for address in range(start, start + length, PIECE_BYTES):
            between()
            size = min(PIECE_BYTES, start + length - address)
            while (code := ask(address, size)) in _AGAIN:
                between()
            if code in _NOT_KNOWN_HERE:
                _touch(address, size)
            elif code:
                raise OSError(code, os.strerror(code))


def _whole_pages(ranges: Iterable[Range]) -> list[Range]:
    """The pages that hold the ranges, neighbours joined: a file's tensors lie one after the other."""
    page = mmap.PAGESIZE
    found: list[Range] = []
    for address, size in sorted(each for each in ranges if each[1] > 0):
        start, end = address // page * page, -(-(address + size) // page) * page
        if found and start <= sum(found[-1]):
            found[-1] = (found[-1][0], max(end, sum(found[-1])) - found[-1][0])
        else:
            found.append((start, end - start))
    return found


def _touch(address: int, size: int) -> None:
    """Reads a byte of each page."""
    memory = memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")
    for start in range(0, size, _TOUCHED_BYTES):
        bytes(memory[start : start + _TOUCHED_BYTES : mmap.PAGESIZE])


def _madvise(address: int, size: int) -> int:
    if _libc().madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), _MADV_POPULATE_READ) == 0:
        return 0
    return ctypes.get_errno()


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
