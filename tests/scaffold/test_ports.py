"""Ports for a new service meet no other's."""

from __future__ import annotations

import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.errors import Unusable
from release.scaffold import Ports, pick, port_is_free


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.integers(8080, 8160) | st.integers(18080, 18160)), st.sets(st.integers(8080, 8160)))
def test_what_is_taken_or_listened_on_is_never_picked(taken: set[int], listening: set[int]) -> None:
    ports = pick(taken, lambda port: port not in listening)
    chosen = {ports.listen, ports.admin, ports.blue, ports.green}
    assert len(chosen) == 4
    assert not chosen & (taken | listening)


def test_the_first_service_has_the_well_known_ports() -> None:
    assert pick((), lambda port: True) == Ports(8080, 18080, 8101, 8102)


def test_many_services_share_a_host() -> None:
    taken: set[int] = set()
    for _ in range(50):
        ports = pick(taken, lambda port: True)
        chosen = {ports.listen, ports.admin, ports.blue, ports.green}
        assert not chosen & taken
        taken |= chosen


def test_a_host_without_free_ports_says_so() -> None:
    with pytest.raises(Unusable, match="no free ports"):
        pick((), lambda port: False)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_with_a_listener_is_not_free(address: str) -> None:
    with socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen()
        assert not port_is_free(listener.getsockname()[1])
