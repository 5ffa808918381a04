"""The systemd units that bring a managed nginx back after a reboot and rotate its logs. Text is pure; the rest says
plainly where no systemd runs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from release.errors import ProxyError
from release.proxy.durable import write_file

UNITS = Path("/etc/systemd/system")
_RUNTIME = Path("/run/systemd/system")  # sd_booted(3): there exactly where systemd is the init system
_TIMEOUT = 30.0
_PLAIN_WORD = re.compile(r"[A-Za-z0-9._/@+,~=:-]+")  # the rest is quoted: systemd splits at spaces, fills in % and $


def unit_name(scope: str) -> str:
    return f"release-{scope}-nginx.service"


def units(scope: str, binary: str, directory: Path, rotate: Sequence[str] = ()) -> dict[str, str]:
    """Names and texts. `directory` is `<state>/nginx`, `rotate` a command to rotate its logs with."""
    texts = {unit_name(scope): _service(scope, binary, directory)}
    if rotate:
        stem = unit_name(scope).removesuffix(".service") + "-logs"
        texts[f"{stem}.service"] = _rotation(scope, rotate)
        texts[f"{stem}.timer"] = _timer(scope)
    return texts


def running() -> bool:
    return _RUNTIME.is_dir()


def installed(scope: str, directory: Path = UNITS) -> bool:
    """True where the unit is there and wanted at boot."""
    return (directory / unit_name(scope)).exists() and enabled(unit_name(scope), directory)


def enabled(name: str, directory: Path = UNITS) -> bool:
    return (directory / "multi-user.target.wants" / name).is_symlink()


def install(texts: Mapping[str, str], directory: Path = UNITS) -> str:
    """Writes and enables the units; returns a sentence that says what was done. Raises ProxyError."""
    try:
        for name, text in texts.items():
            write_file(directory / name, text)
            wants = directory / ("timers.target.wants" if name.endswith(".timer") else "multi-user.target.wants")
            if "[Install]" in text:
                wants.mkdir(exist_ok=True)
                (wants / name).unlink(missing_ok=True)
                (wants / name).symlink_to(f"../{name}")
    except OSError as error:
        raise ProxyError(
            f"cannot write the systemd units to {directory}: {error.strerror}", hint="run this as root"
        ) from error
    if not running():
        return f"wrote {', '.join(texts)} to {directory}; systemd does not run here, so nothing was started"
    _systemctl("daemon-reload")
    return f"wrote and enabled {', '.join(texts)} in {directory}"


def start(scope: str) -> bool:
    """Starts the unit where systemd runs; False where it does not."""
    if not running():
        return False
    _systemctl("start", unit_name(scope))
    return True


def remove(scope: str, directory: Path = UNITS) -> bool:
    """Takes the scope's units away; True where there were any."""
    stem = unit_name(scope).removesuffix(".service")
    names = [f"{stem}.service", f"{stem}-logs.service", f"{stem}-logs.timer"]
    paths = [
        path
        for name in names
        for path in (directory / name, *directory.glob(f"*.target.wants/{name}"))
        if path.exists() or path.is_symlink()
    ]
    if not paths:
        return False
    if running() and directory == UNITS:
        _systemctl("stop", *[name for name in names if (directory / name).exists()])
    try:
        for path in paths:
            path.unlink()
    except OSError as error:
        raise ProxyError(f"cannot remove {unit_name(scope)}: {error.strerror}", hint="run this as root") from error
    if running() and directory == UNITS:
        _systemctl("daemon-reload")
    return True


def advice(scope: str) -> str:
    if not running():
        return "systemd does not run here; whatever starts this host's services must start it"
    return f"`release proxy install --systemd` as root writes {unit_name(scope)}"


def _service(scope: str, binary: str, directory: Path) -> str:
    command = f'{binary} -e stderr -p "{directory}" -c "{directory}/nginx.conf"'
    return f"""[Unit]
Description=nginx of release for {scope}
After=network-online.target
Wants=network-online.target
RequiresMountsFor="{directory}"

[Service]
Type=forking
PIDFile={directory}/nginx.pid
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
KillSignal=SIGQUIT
TimeoutStopSec=10
KillMode=mixed
Restart=on-failure
RestartSec=1
LimitNOFILE=16384

[Install]
WantedBy=multi-user.target
"""


def _rotation(scope: str, rotate: Sequence[str]) -> str:
    return f"""[Unit]
Description=Log rotation of release for {scope}

[Service]
Type=oneshot
ExecStart={" ".join(map(_quoted, rotate))}
"""


def _quoted(word: str) -> str:
    """A word of a command line as systemd takes it (systemd.service(5), "Command lines")."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return word if _PLAIN_WORD.fullmatch(word) else f'"{plain}"'


def _timer(scope: str) -> str:
    return f"""[Unit]
Description=Log rotation of release for {scope}

[Timer]
OnBootSec=5min
OnUnitActiveSec=5min

[Install]
WantedBy=timers.target
"""


def _systemctl(*arguments: str) -> None:
    try:
        done = subprocess.run(
            ["systemctl", *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False, close_fds=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProxyError(
            f"systemctl {arguments[0]} failed: {error}", hint="check systemd with `systemctl status`"
        ) from error
    if done.returncode != 0:
        raise ProxyError(
            f"systemctl {' '.join(arguments)} failed: {done.stderr.strip()}",
            hint="run this as root, and see `journalctl -xe`",
        )
