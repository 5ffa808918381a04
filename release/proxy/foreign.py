"""Somebody else's nginx, spoken to through its own command: tested, reloaded, asked as whom its workers run."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from release.errors import ProxyError
from release.proxy.master import emergencies
from release.proxy.worker import Worker, current, named

_TIMEOUT = 30.0
_USER = re.compile(r"^\s*user\s+([^\s;]+)", re.MULTILINE)


class ForeignNginx:
    """`command` is how it is called: `nginx`, or `nginx -c FILE` for one with a configuration of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)

    def test(self, alone: Path | None = None) -> None:
        """`nginx -t`, of its own configuration or of the one in `alone`. Raises ProxyError with nginx's own words."""
        done = self._run("-t", "-q", *(["-c", str(alone)] if alone is not None else []))
        if done.returncode != 0:
            what = "its configuration" if alone is None else "what is to go into its configuration"
            raise ProxyError(
                f"nginx refuses {what}: {emergencies(done.stderr) or done.stderr.strip()}",
                hint=f"`{' '.join(self.command)} -t` repeats the test"
                if alone is None
                else "check the manifest's proxy section",
            )

    def reload(self) -> None:
        self._signal("reload")

    def reopen(self) -> None:
        self._signal("reopen")

    def worker(self) -> Worker:
        """The account of its workers: its `user` directive, else `nobody`; without root, whoever runs it."""
        if os.geteuid() != 0:
            return current()
        found = _USER.search(self._run("-T", "-q").stdout)
        return named(found[1] if found else "nobody") or current()

    def _signal(self, name: str) -> None:
        done = self._run("-s", name)
        if done.returncode != 0:
            reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise ProxyError(
                f"nginx cannot be told to {name}: {reason}",
                hint="start it (`systemctl start nginx`); proxy.command in the manifest says how it is called",
            )

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
            )
        except FileNotFoundError as error:
            raise ProxyError(f"there is no {self.command[0]}", hint="set proxy.command in the manifest") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProxyError(
                f"cannot run {self.command[0]}: {error}", hint="set proxy.command in the manifest"
            ) from error
