"""Pages are brought in by one call or one by one, in pieces between which a load may end."""

from __future__ import annotations

import ctypes
import errno
import mmap
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhost.loading.pages import PIECE_BYTES, populate

SIZE = 2 * PIECE_BYTES + 3 * mmap.PAGESIZE


@pytest.fixture
def address(tmp_path: Path) -> Iterator[int]:
    """Where a mapped file lies, of which no page was read."""
    path = tmp_path / "file"
    with path.open("w+b") as file:
        file.truncate(SIZE)
        mapping = mmap.mmap(file.fileno(), SIZE, flags=mmap.MAP_PRIVATE)
    view = (ctypes.c_ubyte * SIZE).from_buffer(mapping)
    yield ctypes.addressof(view)
    del view
    mapping.close()


def resident(address: int) -> int:
    """Bytes of the mapping that this process reads without a page fault."""
    here = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            start, end = (int(each, 16) for each in first.split("-"))
            here = start <= address < end
        elif here and first == "Rss:":
            return int(line.split()[1]) << 10
    raise AssertionError("it is not mapped")


def test_all_pages_are_there_afterwards(address: int) -> None:
    assert resident(address) < SIZE / 2
    populate([(address + 5, SIZE - 10)])
    assert resident(address) == SIZE


def test_where_the_system_does_not_know_how_each_page_is_read(address: int) -> None:
    populate([(address, SIZE)], advise=lambda start, size: errno.EINVAL)
    assert resident(address) == SIZE


def test_it_asks_before_each_piece_and_may_end_there(address: int) -> None:
    asked: list[int] = []

    def between() -> None:
        asked.append(resident(address))
        if len(asked) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        populate([(address, SIZE)], between)
    assert asked[0] < PIECE_BYTES <= asked[1] < SIZE


def test_neighbours_are_one_and_pieces_are_whole_pages() -> None:
    seen: list[tuple[int, int]] = []

    def advise(start: int, size: int) -> int:
        seen.append((start, size))
        return 0

    page = mmap.PAGESIZE
    populate([(4 * page + 8, page), (page, 3 * page + 8), (9 * page, 1), (0, 0)], advise=advise)
    assert seen == [(page, 5 * page), (9 * page, page)]


def test_what_cannot_be_had_is_an_error_and_what_is_busy_is_asked_again() -> None:
    codes = iter([errno.EAGAIN, errno.EINTR, 0])
    populate([(mmap.PAGESIZE, 1)], advise=lambda start, size: next(codes))
    with pytest.raises(OSError, match="Bad address"):
        populate([(mmap.PAGESIZE, 1)], advise=lambda start, size: errno.EFAULT)
