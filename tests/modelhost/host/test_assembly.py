"""What the configuration says of a component holds: fallback, environment, loader, pins, device."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhost.config.load import load
from modelhost.errors import ConfigError, EnvironmentMismatch
from modelhost.host.assembly import registry_of
from modelhost.host.host import ModelHost
from modelhost.loading.base import Loaded, Placement
from modelhost.registry.base import Entry
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.remote import RemoteRegistry
from tests.modelhost.host.service import Service, words
from tests.modelhost.serving.workshop import TextLoader, eventually

OTHER_PYTHON = {"python": "2.7", "packages": {}}


def _configured(component: str) -> str:
    return f"registry: {{root: models}}\ncomponents: {{model: {component}}}\nmemory: {{budget: 1MB}}\n"


def test_when_nothing_stable_is_left_the_named_code_answers_and_says_that_it_is_a_fallback(service: Service) -> None:
    service.shop.publish("model", "1.0.0")
    host = service.open(_configured("{fallback: 'tests.modelhost.host.standins:dictionary'}"))
    host.rollback("model", who="ann", reason="broken")
    with host.request() as models:
        assert models["model"].model() == "word by word"
        assert models.fallbacks == ("model",)


def test_code_that_declares_no_fallback_is_refused_at_the_start(service: Service) -> None:
    service.shop.publish("model", "1.0.0")
    with pytest.raises(ConfigError, match=r"components\.model\.fallback"):
        service.open(_configured("{fallback: 'tests.modelhost.host.standins:nothing'}"))


@pytest.mark.parametrize("rule", ["warn", "off"])
def test_another_environment_is_refused_unless_the_configuration_lets_it_pass(service: Service, rule: str) -> None:
    service.shop.publish("model", "1.0.0", environment=OTHER_PYTHON)
    with pytest.raises(EnvironmentMismatch):
        service.open(_configured("{}"))
    assert words(service.open(_configured(f"{{environment: {rule}}}")))["model"] == "model 1.0.0"


def test_the_configuration_chooses_the_loader_and_the_placement(service: Service) -> None:
    class Loud(TextLoader):
        def load(self, entry: Entry, placement: Placement) -> Loaded:
            loaded = super().load(entry, placement)
            loaded.model.content = loaded.model.content.upper()
            return loaded

    service.shop.publish("model", "1.0.0")
    service.write(_configured("{loader: loud, threads: 2, batch_size: 4}"))
    host = ModelHost.open(service.file, {"safetensors": service.loader, "loud": Loud()}, hangup=False)
    service.open_hosts.append(host)
    with host.request() as models:
        assert models["model"].model() == "MODEL 1.0.0"
        assert models["model"].placement == Placement("cpu", 2, 4)


def test_a_version_may_have_a_placement_of_its_own(service: Service) -> None:
    service.shop.publish("model", "1.0.0", "1.1.0")
    host = service.open(_configured("{threads: 2, batch_size: 4, versions: {1.1.0: {threads: 3}}}"))
    host.load("model", "1.0.0")
    placed = {each.version: each.placement for each in host.pool.residents()}
    assert placed == {"1.0.0": Placement("cpu", 2, 4), "1.1.0": Placement("cpu", 3, 4)}


def test_what_serves_of_a_pinned_component_and_what_is_routable_is_pinned(service: Service) -> None:
    service.shop.publish("model", "1.0.0", "1.1.0", "1.2.0")
    host = service.open(_configured("{pinned: true, routable: [1.0.0]}"))
    host.load("model", "1.0.0")

    def pinned() -> set[str]:
        return {each.version for each in host.pool.residents() if each.pinned}

    eventually(lambda: pinned() == {"1.0.0", "1.2.0"})
    host.promote({"model": "1.1.0"}, who="ann", why="compare")
    eventually(lambda: pinned() == {"1.0.0", "1.1.0"})


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        ("{root: SHARE/models}", r"registry\.root: .*\(nfs4\).*url: 'file://SHARE/models', cache: "),
        ("{root: LINK}", r"registry\.root: .*\(nfs4\).*url: 'file://SHARE/models', cache: "),
        ("{url: 'file://SHARE/models', cache: SHARE/cache}", r"registry\.cache: .*name a folder on a local disk"),
    ],
)
def test_weights_are_not_mapped_from_the_network_unless_the_configuration_says_so(
    tmp_path: Path, registry: str, said: str
) -> None:
    here = tmp_path.resolve()
    share, link = here / "share", here / "link"
    (share / "models").mkdir(parents=True)
    link.symlink_to(share / "models")
    listed = f"27 1 8:1 / / rw - ext4 /dev/sda1 rw\n63 27 0:46 / {share} rw - nfs4 store:/models rw\n"

    def opened(section: str) -> object:
        named = section.replace("SHARE", str(share)).replace("LINK", str(link))
        (here / "modelhost.yaml").write_text(_configured("{}").replace("{root: models}", named))
        return registry_of(load(here / "modelhost.yaml", {}), lambda: listed)

    with pytest.raises(ConfigError, match=said.replace("SHARE", str(share))):
        opened(registry)
    kinds = DirectoryRegistry | RemoteRegistry
    assert isinstance(opened(registry.replace("}", ", over_network: true}")), kinds)
    assert isinstance(opened("{url: 'file://SHARE/models', cache: cache}"), RemoteRegistry)
