"""Who holds a lock: the text in the lock's file, for people. Nothing depends on it."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shlex
import socket
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

# The text is padded to this and overwritten in place: that needs no new block, so it works on a full disk.
_TEXT_BYTES = 4096
_SETTING = re.compile(r"^((?:--set=)?[^=]*=).*", re.DOTALL)


def this_process(since: str, deployment: str | None, command: str | None) -> dict[str, Any]:
    """This process as a holder; `command` is the one that it was started with, unless another is named."""
    return {
        "pid": os.getpid(),
        "user": _user(),
        "host": socket.gethostname()[:100],
        "command": (command or told(sys.argv))[:300],
        "deployment": deployment,
        "since": since,
    }


def write(descriptor: int, text: str) -> None:
    """Best effort: a lock without a name still locks."""
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, text.encode()[:_TEXT_BYTES].ljust(_TEXT_BYTES), 0)


def read(descriptor: int) -> dict[str, Any]:
    """{} where nobody left a name."""
    try:
        found = json.loads(os.pread(descriptor, _TEXT_BYTES, 0).decode("utf-8", "replace"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def describe(holder: dict[str, Any]) -> str:
    """`release deploy v1.2.0` of alice on host-1 (pid 123, deployment d-1), since 2026-…; whatever is missing."""
    if not holder:
        return "another process, which left no name"
    inside = f"pid {holder.get('pid', '?')}"
    if holder.get("deployment"):
        inside += f", deployment {holder['deployment']}"
    who = f"{holder.get('user', '?')} on {holder.get('host', '?')}"
    return f"`{holder.get('command', '?')}` of {who} ({inside}), since {holder.get('since', '?')}"


def told(argv: Sequence[str]) -> str:
    """A command line for others to read: without the values of `--set`, one of which may be a password."""
    words = [Path(argv[0]).name]
    for before, word in pairwise(argv):
        sets = before == "--set" or word.startswith("--set=")
        words.append(_SETTING.sub(r"\1…", word) if sets else word)
    return shlex.join(words)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name[:60]
    except KeyError:  # a uid without a name, as containers have it
        return str(os.getuid())
