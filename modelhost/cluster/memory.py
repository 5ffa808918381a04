"""What a member remembers on its own disk: the last desired state, for a start while the registry is out of reach."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import ValidationError

from modelhost.cluster.desired import Desired
from modelhost.registry.durable import locked, replace

_log = logging.getLogger(__name__)


class Memory:
    """One small file. Never in the way: what cannot be written or read is said in the log, and done without.

    Members on one machine may share it: an older state never replaces a newer one.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def recall(self) -> Desired:
        """The state that was known last, without what was only proposed; the empty one where there is none."""
        if self._path is None:
            return Desired()
        try:
            return Desired.model_validate_json(self._path.read_bytes()).model_copy(update={"proposal": None})
        except FileNotFoundError:
            return Desired()
        except (OSError, ValidationError) as error:
            _log.warning("%s is of no use: %s", self._path, error)
            return Desired()

    def keep(self, desired: Desired) -> None:
        """Remembers a state, durable on return."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self._path.with_name(f".{self._path.name}.lock")):
                if self.recall().revision <= desired.revision:
                    replace(self._path, desired.model_dump_json().encode())
        except OSError as error:
            _log.warning("%s cannot be written, a start without the registry would not know: %s", self._path, error)
