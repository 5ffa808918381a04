"""Where that lies which must outlive a restart: who switched what, what operators did, thumbs.

It goes with what was given: a registry of one's own keeps it in a folder that is no component, a configuration of one's
own beside it, as modelhost does. Where neither was given, versions end with the process, and so does this.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from translator.errors import StartError
from translator.settings import Settings

FOLDER = ".state"  # in a registry, whose listing and collector pass by what has a dot in front
BESIDE = "state"  # beside a configuration


def state_folder(settings: Settings) -> Path | None:
    """The folder that keeps it; None where nothing is to be kept."""
    if settings.state is not None:
        return settings.state
    if settings.configuration is not None:
        return settings.configuration.resolve().parent / BESIDE
    if settings.registry is not None and not settings.alone:
        return settings.registry / FOLDER
    return None


def demand_state(settings: Settings) -> None:
    """Make the folder, where it follows from something else, and write in it once. Raises `StartError`."""
    folder = state_folder(settings)
    if folder is not None and folder != settings.state and (why := unwritable(folder)):
        raise StartError(
            f"{folder} cannot be written ({why}), and is to keep who switched what, and thumbs: set TRANSLATOR_STATE "
            "to a folder that can"
        )


def state_is_lost(settings: Settings) -> str:
    """What a start has to say of it; empty where all is well. None of this keeps anybody from translating."""
    if settings.state is not None and (why := unwritable(settings.state, parents=True)):
        return (
            f"TRANSLATOR_STATE={settings.state} cannot be written ({why}): history, audit trail and thumbs have no "
            "place, and without an audit trail nobody can switch"
        )
    if settings.tokens is not None and state_folder(settings) is None:
        return "switches and their audit trail end with this process: set TRANSLATOR_REGISTRY to keep both"
    return ""


def unwritable(folder: Path, parents: bool = False) -> str:
    """Why nothing can be written there; empty where it can. Makes the folder, but no registry that is away."""
    try:
        folder.mkdir(mode=0o750, parents=parents, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)
