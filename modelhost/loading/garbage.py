"""Python's garbage collector, kept from holding up requests: what the imports left is not looked at over and over.

A full collection goes through every container object of the process while it holds the interpreter: 110 to 140 ms where
torch is imported, in which no thread answers. CPython begins one when what survived the younger generations since the
last one is more than a quarter of all (CPython's "Garbage collector design", "Optimization: generations"), which the
loads of some switches bring about, the first one nearly always. At what was frozen it does not look (`gc.freeze`).
"""

from __future__ import annotations

import gc
import threading

_lock = threading.Lock()
_done: set[str] = set()


def set_aside() -> None:
    """What there is now is not looked at again, once in the life of a process: before its first load.

    Then libraries are imported and no model is in memory yet: one with a circle of references that was set aside would
    never be freed. Nothing is done where the service has turned the collector off, or has frozen objects itself.
    """
    with _lock:
        if _is_first("load") and gc.isenabled() and not gc.get_freeze_count():
            gc.collect()
            gc.freeze()


def settle() -> None:
    """A full collection, once in the life of a process: before its first set serves, and not in the first switch.

    It is about what was imported since the first load began. None where the service has turned the collector off.
    """
    with _lock:
        if _is_first("set") and gc.isenabled():
            gc.collect()


def _is_first(what: str) -> bool:
    first = what not in _done
    _done.add(what)
    return first
