"""Who asked, and how deployments are numbered."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime


def actor(environ: Mapping[str, str] = os.environ) -> str:
    """The person behind a run: GitHub's actor in a workflow, behind sudo the one who called it, else the user."""
    if environ.get("GITHUB_ACTIONS") == "true" and environ.get("GITHUB_ACTOR"):
        return f"{environ['GITHUB_ACTOR']} (GitHub Actions run {environ.get('GITHUB_RUN_ID', '?')})"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    behind = environ.get("SUDO_USER")
    return f"{behind} (as {user})" if behind and behind != user else user


def host() -> str:
    return socket.gethostname()


def deployment_id() -> str:
    """Sortable and distinct: `20261121-015449-3f2a`."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"
