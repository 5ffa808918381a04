from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from release.errors import ProxyError
from release.proxy import systemd

DIRECTORY = Path("/var/lib/release/translator/nginx")


def units(**extra: tuple[str, ...]) -> dict[str, str]:
    return systemd.units("translator", "/usr/sbin/nginx", DIRECTORY, **extra)


def test_the_unit_starts_the_very_command_that_the_toolkit_starts() -> None:
    (text,) = units().values()
    assert f'ExecStart=/usr/sbin/nginx -e stderr -p "{DIRECTORY}" -c "{DIRECTORY}/nginx.conf"' in text
    assert f"PIDFile={DIRECTORY}/nginx.pid" in text
    assert "WantedBy=multi-user.target" in text


def test_a_command_to_rotate_with_may_hold_any_path() -> None:
    texts = units(rotate=("/opt/my tools/release", "proxy", "rotate", "--state", '/srv/50% "state" of $HOME\\x'))
    (line,) = [
        line
        for text in texts.values()
        for line in text.splitlines()
        if line.startswith("ExecStart=") and "rotate" in line
    ]
    assert line == ('ExecStart="/opt/my tools/release" proxy rotate --state "/srv/50%% \\"state\\" of $$HOME\\\\x"')


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for name, text in units(rotate=("/bin/true",)).items():
        (tmp_path / name).write_text(text.replace("/usr/sbin/nginx", "/bin/true"))
    paths = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "release-" in line]
    assert not ours, done.stderr


def test_installed_units_are_wanted_at_boot_and_removed_whole(tmp_path: Path) -> None:
    assert not systemd.installed("translator", tmp_path)
    (tmp_path / "multi-user.target.wants").mkdir()
    (tmp_path / "other.service").write_text("")
    said = systemd.install(units(rotate=("/usr/bin/release", "proxy", "rotate")), tmp_path)
    assert "release-translator-nginx.service" in said
    assert systemd.installed("translator", tmp_path)
    assert not systemd.installed("translator-staging", tmp_path)
    assert (tmp_path / "timers.target.wants" / "release-translator-nginx-logs.timer").is_symlink()
    assert systemd.remove("translator", tmp_path) is True
    assert systemd.remove("translator", tmp_path) is False
    assert [path.name for path in tmp_path.rglob("*") if not path.is_dir()] == ["other.service"]


def test_where_no_systemd_runs_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_RUNTIME", tmp_path / "absent")
    assert "systemd does not run here" in systemd.install(units(), tmp_path)
    assert "systemd does not run here" in systemd.advice("translator")
    assert systemd.start("translator") is False


def test_a_directory_that_cannot_be_written_is_a_proxy_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProxyError, match="cannot write the systemd units"):
        systemd.install(units(), tmp_path / "file")
