"""What a rollback reads of a kept configuration is what the manifest says."""

from __future__ import annotations

from typing import Any

import pytest

from release.config.manifest import Manifest
from release.config.reach import Reach
from release.config.stored import to_ledger
from release.errors import ManifestError
from release.naming import Slot


def manifest(**sections: Any) -> Manifest:
    base: dict[str, Any] = {"service": "shop", "container": {"port": 80}, "slots": {"blue": 4001, "green": 4002}}
    return Manifest.model_validate(base | sections)


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"proxy": {"listen": 60000}},
        {"proxy": {"listen": 80, "admin": 4100, "address": "127.0.0.1", "server_name": "shop.example.com"}},
        {"checks": {"health": {"path": "/ready"}}, "engine": {"kind": "process"}},
        {"engine": {"host": "tcp://127.0.0.1:2375"}},
        {"proxy": {"kind": "included", "include": "/etc/nginx/conf.d/shop.conf"}},
        {"proxy": {"switch": "rewrite", "include": "/etc/nginx/conf.d/shop.conf"}},
    ],
)
def test_it_says_what_the_manifest_says(sections: dict[str, Any]) -> None:
    whole = manifest(**sections)
    reach = Reach.kept(to_ledger(whole))
    assert [reach.port(slot) for slot in Slot] == [whole.slots.port(slot) for slot in Slot]
    assert reach.health == whole.checks.health.path
    assert (reach.engine, reach.host) == (whole.engine.kind, whole.engine.host)
    place = (reach.address, reach.listen, reach.admin_port, reach.server_name)
    proxy = whole.proxy
    assert place == (proxy.address, proxy.listen, proxy.admin_port, proxy.server_name)
    assert reach.rewrites is (proxy.switch == "rewrite")


def test_it_knows_that_somebody_is_told_though_addresses_are_not_kept() -> None:
    whole = manifest(notify=["json://example.com/token"])
    assert not Reach.kept(to_ledger(whole)).notifies, "an address that is written out is not kept"
    whole.remember({"notify.0": "${CHAT}"})
    assert Reach.kept(to_ledger(whole)).notifies


def test_a_configuration_that_lacks_something_is_an_error_that_names_it() -> None:
    config = to_ledger(manifest())
    del config["slots"]
    with pytest.raises(ManifestError, match="slots"):
        Reach.kept(config)
