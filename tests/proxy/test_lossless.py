"""The point of all this: clients that keep their connections and never retry lose nothing, whatever moves."""

from __future__ import annotations

import time

from benchmarks.load import Load, Shot
from release.proxy.base import Traffic
from release.proxy.nginx import ManagedNginx

SHOTS = [Shot(path="/x"), Shot.post_json("/y", {"text": "你好" * 40})]


def test_no_request_is_lost_across_a_hundred_switches(proxy: ManagedNginx) -> None:
    with Load(proxy.public_url, SHOTS, clients=20, timeout=60) as load:
        for turn in range(100):
            before = load.sent
            proxy.switch.set(Traffic(1000 * (turn % 2), f"d-{turn}"))
            while load.sent < before + 20:
                time.sleep(0.001)
        result = load.stop()
    assert result.failed == 0, result.reasons
    assert result.by_answer.keys() == {"blue", "green"}
    assert result.requests >= 2000


def test_no_request_is_lost_through_every_share_of_a_canary(proxy: ManagedNginx) -> None:
    with Load(proxy.public_url, SHOTS, clients=20, timeout=60) as load:
        for turn in range(8):
            for green in (1, 10, 100, 500, 1000, 0):
                before = load.sent
                proxy.switch.set(Traffic(green, f"d-{turn}"))
                while load.sent < before + 20:
                    time.sleep(0.001)
        result = load.stop()
    assert result.failed == 0, result.reasons
    assert result.by_answer.keys() == {"blue", "green"}
