"""Where the state of one service in one environment lives, and how it is found again from any directory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from release.errors import Unusable, UsageError
from release.naming import echoed

_SYSTEM_ROOT = Path("/var/lib/release")


@dataclass(frozen=True)
class State:
    """The directory of one scope. It makes nothing by itself but `create`."""

    root: Path
    scope: str

    @property
    def path(self) -> Path:
        return self.root / self.scope

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.db"

    @property
    def traffic(self) -> Path:
        return self.path / "traffic"

    @property
    def locks(self) -> Path:
        return self.path / "locks"

    @property
    def ports(self) -> Path:
        return self.path / "ports.json"

    @property
    def answers(self) -> Path:
        return self.path / "answers"

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def cache(self) -> Path:
        """Wheelhouses and other things that can be made again; shared by the scopes of one root."""
        return self.root / ".cache"

    def exists(self) -> bool:
        return self.ledger.exists()

    def create(self) -> None:
        """Makes the directories, group-writable with setgid so that engineer, runner and root share one ledger."""
        try:
            for directory in (self.root, self.path, self.locks, self.traffic, self.work):
                if not directory.exists():
                    directory.mkdir(parents=True, exist_ok=True)
                    directory.chmod(0o2775)
        except OSError as error:
            raise Unusable(
                f"the state directory {self.path} cannot be made ({error.strerror})",
                hint=f"make {self.root} writable for the group that releases, or name another one with --state DIR",
            ) from error


def default_root(environ: Mapping[str, str] = os.environ) -> Path:
    """RELEASE_STATE, else /var/lib/release where this user may write there, else the user's XDG state directory."""
    if named := environ.get("RELEASE_STATE"):
        return Path(named).absolute()
    if os.access(_SYSTEM_ROOT, os.W_OK) or (not _SYSTEM_ROOT.exists() and os.access(_SYSTEM_ROOT.parent, os.W_OK)):
        return _SYSTEM_ROOT
    home = Path(environ.get("HOME", "/"))
    return Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "release"


def find(root: Path, wanted: str | None) -> State:
    """The state of the service called `wanted`, or of the only one there is. Raises UsageError that lists them."""
    known = known_scopes(root)
    if wanted is not None:
        matches = [scope for scope in known if scope == wanted] or [s for s in known if s.startswith(f"{wanted}-")]
        if len(matches) == 1:
            return State(root, matches[0])
        raise UsageError(
            f"no service {echoed(wanted)} has state in {root}"
            if not matches
            else f"{echoed(wanted)} is more than one service here",
            hint=f"there is: {', '.join(matches or known) or 'nothing yet; `release deploy TAG` is the first step'}",
        )
    if len(known) == 1:
        return State(root, known[0])
    if not known:
        if (
            root != _SYSTEM_ROOT
            and os.access(_SYSTEM_ROOT, os.R_OK | os.X_OK)
            and (there := known_scopes(_SYSTEM_ROOT))
        ):
            raise UsageError(
                f"{root} holds no service; {_SYSTEM_ROOT} does: {', '.join(there)}",
                hint=f"run as a user who may write {_SYSTEM_ROOT} (sudo, or its group)",
            )
        raise UsageError(f"nothing was deployed yet: {root} holds no service", hint="start with `release deploy TAG`")
    raise UsageError("several services are deployed here", hint=f"choose with --service: {', '.join(known)}")


def known_scopes(root: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in root.iterdir() if (entry / "ledger.db").exists())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Unusable(f"{root} cannot be read ({error.strerror})", hint="run as a user of its group") from error


def holds_nothing(root: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether no service has state in `root`, nor in the system's place where `root` is only what this user has instead
    of it: there `find` says whose service that is."""
    if known_scopes(root):
        return False
    own = default_root({name: value for name, value in environ.items() if name != "RELEASE_STATE"})
    out_of_reach = root == own != _SYSTEM_ROOT and os.access(_SYSTEM_ROOT, os.R_OK | os.X_OK)
    return not (out_of_reach and known_scopes(_SYSTEM_ROOT))


def ports_in_use(root: Path) -> dict[int, str]:
    """Ports that the other services of this root were deployed with, each with its scope (from `ports.json`)."""
    ports: dict[int, str] = {}
    for scope in known_scopes(root):
        try:
            for port in json.loads(State(root, scope).ports.read_text(encoding="utf-8")):
                ports[int(port)] = scope
        except (OSError, ValueError, TypeError):
            continue
    return ports
