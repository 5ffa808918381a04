"""Which addresses the engine is asked at, directly."""

from __future__ import annotations

import pytest

from release.direct.daemon import Direct
from release.errors import EngineError


@pytest.mark.parametrize("host", ["tcp://engine:port", "tcp://[engine:2375"])
def test_what_is_no_address_is_told(host: str) -> None:
    with pytest.raises(EngineError, match="no address of a Docker Engine"):
        Direct(host, "")


def test_the_sdk_is_asked_where_it_takes_more_than_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    hosts = ("unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "ssh://engine")
    assert [Direct(host, "").usable for host in hosts] == [True, True, False]
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    assert [Direct(host, "").usable for host in hosts] == [True, False, False]
