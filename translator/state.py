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
    """Make the folder that follows from something else, and write in it once. Raises `StartError`.

    One that TRANSLATOR_STATE names is whoever named it's own affair: modelhost says what it cannot write there.
    """
    folder = state_folder(settings)
    if folder is None or folder == settings.state:
        return
    try:
        folder.mkdir(mode=0o750, exist_ok=True)  # and not its parents: a registry that is away is not made anew
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StartError(
            f"{folder} cannot be written ({error.strerror}), and is to keep who switched what, and thumbs: set "
            "TRANSLATOR_STATE to a folder that can"
        ) from error
