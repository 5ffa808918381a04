"""The demo's git history: this project as it is committed, tagged three times with three models behind it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from demo.place import PROJECT, DemoFailed, Place

EARLIER, BETTER, DAMAGED = "v1.0.0", "v1.1.0", "v1.2.0"
_SERVE = Path("translator/models/SERVE")


def make(place: Place) -> None:
    """A clone with the tags v1.0.0 (the earlier model), v1.1.0 (the best one) and v1.2.0 (damaged weights)."""
    _run("git", "clone", "--quiet", "--no-tags", str(PROJECT), str(place.repository))
    for tag, model in ((EARLIER, EARLIER), (BETTER, BETTER)):
        (place.repository / _SERVE).write_text(f"{model}\n")
        _commit(place, tag, f"Serve model {model}")
    _damage(place)
    (place.repository / _SERVE).write_text(f"{DAMAGED}\n")
    _commit(place, DAMAGED, f"Serve model {DAMAGED}, whose weights were damaged on the way")


def _damage(place: Place) -> None:
    models = place.repository / "translator" / "models"
    arguments = [sys.executable, "-m", "translator.damage", str(models / BETTER), str(models / DAMAGED)]
    arguments += ["--noise", "0.3"]
    _run(*arguments, cwd=place.repository)


def _commit(place: Place, tag: str, message: str) -> None:
    who = ["-c", "user.name=demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"]
    _run("git", "add", "--all", cwd=place.repository)
    _run("git", *who, "commit", "--quiet", "--allow-empty", "--message", message, cwd=place.repository)
    _run("git", *who, "tag", "--annotate", tag, "--message", message, cwd=place.repository)


def _run(*command: str, cwd: Path | None = None) -> None:
    if shutil.which(command[0]) is None and not Path(command[0]).exists():
        raise DemoFailed(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoFailed(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
