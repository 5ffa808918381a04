"""Python's collector looks at all that the imports left before the first request comes, and not in the first switch.

A full collection goes through every container object of the process while it holds the interpreter: 110 to 140 ms where
torch is imported, in which no thread answers. CPython begins one when what survived the younger generations since the
last one is more than a quarter of all (Garbage collector design, "Optimization: generations"); after a start, which
imports all at once, the load of the next version is what tips it over.
"""

from __future__ import annotations

import gc
import itertools

_starts = itertools.count()


def settle() -> None:
    """A full collection, once in the life of a process; none where the service has turned the collector off."""
    if next(_starts) == 0 and gc.isenabled():
        gc.collect()
