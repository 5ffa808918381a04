"""Which state a command without a manifest means."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.config import state
from release.errors import UsageError


def test_a_user_who_may_not_write_the_host_s_state_is_sent_there(tmp_path: Path, monkeypatch) -> None:
    system = tmp_path / "system"
    (system / "shop").mkdir(parents=True)
    (system / "shop" / "ledger.db").touch()
    monkeypatch.setattr(state, "_SYSTEM_ROOT", system)
    with pytest.raises(UsageError, match=r"system does: shop\n.*sudo"):
        state.find(tmp_path / "own", None)


def test_where_no_service_is_anywhere_the_first_step_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(state, "_SYSTEM_ROOT", tmp_path / "none")
    with pytest.raises(UsageError, match="release deploy TAG"):
        state.find(tmp_path / "own", None)


def test_a_root_holds_nothing_unless_it_is_what_a_user_has_instead_of_the_host_s(tmp_path: Path, monkeypatch) -> None:
    system, home = tmp_path / "system", {"HOME": str(tmp_path)}
    (system / "shop").mkdir(parents=True)
    (system / "shop" / "ledger.db").touch()
    monkeypatch.setattr(state, "_SYSTEM_ROOT", tmp_path / "shut" / "system")
    own = tmp_path / ".local" / "state" / "release"
    writable = state.os.access
    monkeypatch.setattr(state.os, "access", lambda path, mode: mode != state.os.W_OK and writable(path, mode))
    assert state.default_root(home) == own and state.holds_nothing(own, home)
    monkeypatch.setattr(state, "_SYSTEM_ROOT", system)
    assert not state.holds_nothing(own, home)  # the service is the host's, and somebody else's to release
    assert state.holds_nothing(tmp_path / "named", home)
    assert state.holds_nothing(tmp_path / "named", {**home, "RELEASE_STATE": str(tmp_path / "named")})
    assert not state.holds_nothing(system, home)
