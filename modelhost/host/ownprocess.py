"""Which process a host belongs to: the one that opened it. A fork takes its memory along and none of its threads: there
nothing would load, leave, be reloaded or follow a cluster, and nobody would hear of it."""

from __future__ import annotations

import os

from modelhost.errors import Unavailable


class OwnProcess:
    """This one, at the moment at which it is made."""

    def __init__(self) -> None:
        self._number = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether who asks is in it, and not in one that was forked from it since."""
        return os.getpid() == self._number

    def demand(self) -> None:
        """Raises Unavailable in a process that was forked after the host was opened."""
        if not self.is_here:
            raise Unavailable(
                f"this model host was opened in process {self._number}, before process {os.getpid()} was forked from "
                "it: none of its threads are here, and nothing would switch",
                "open it in each process that serves, after the fork: run gunicorn without --preload",
            )
