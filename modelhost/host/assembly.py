"""From settings to parts: the registry, the budget, the checks, the fallbacks. Each asks the settings that run now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from modelhost.config.model import ComponentSection, RegistrySection, Settings
from modelhost.errors import ConfigError, EnvironmentMismatch
from modelhost.loading.base import Loaded, Placement
from modelhost.loading.bring import Check
from modelhost.loading.checks import Integrity
from modelhost.loading.memory import CPU, SHARE, Budget, default_limit
from modelhost.registry.base import LATEST, Entry, Registry, Status, StatusChange
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.environment import check_environment
from modelhost.registry.filesystems import is_remote, kind_of, mounts
from modelhost.registry.pickles import refuse_pickles
from modelhost.registry.remote import RemoteRegistry
from modelhost.routing.installed import installed

_log = logging.getLogger(__name__)
Current = Callable[[], Settings]


def registry_of(settings: Settings, mounts: Callable[[], str] = mounts) -> Registry:
    """The registry that the settings name. `mounts`: the kernel's list of mounts. Raises ConfigError where weights
    would be mapped from a folder on the network."""
    where = settings.registry
    if not where.over_network:
        _demand_local(where, mounts)
    if where.root is not None:
        return DirectoryRegistry(where.root)
    assert where.url is not None and where.cache is not None  # the section says so
    return RemoteRegistry(where.url, where.cache)


def _demand_local(where: RegistrySection, mounts: Callable[[], str]) -> None:
    key, folder = ("root", where.root) if where.root is not None else ("cache", where.cache)
    assert folder is not None  # the section says so
    folder = folder.resolve()  # follows links, and brings in what is mounted when it is first asked for
    kind = kind_of(folder, mounts())
    if not is_remote(kind):
        return
    ways = {
        "root": f"write registry: {{url: '{folder.as_uri()}', cache: …}} with a folder on a local disk as the cache",
        "cache": "name a folder on a local disk",
    }
    raise ConfigError(
        f"registry.{key}: {folder} lies on the network ({kind}), and weights are mapped from a local disk: a process "
        "that touches a page of them when the share is gone waits for ever, or is killed",
        f"{ways[key]}; over_network: true takes that risk",
    )


def budget_of(settings: Settings, workers: int) -> Budget:
    """Memory for the models of one of `workers` processes; of a GPU, a share of what is free on it now."""
    cpu = settings.memory.budget // workers if settings.memory.budget else default_limit(workers)
    devices = set[str]().union(*(each.devices for each in settings.components.values())) - {CPU}
    return Budget({CPU: cpu, **{device: _free(device) // workers for device in devices}})


def _free(device: str) -> int:
    try:
        import torch

        return int(torch.cuda.mem_get_info(device)[0] * SHARE)
    except (ImportError, RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(f"the memory of the device {device} cannot be asked for: {error}", "is it there?") from error


class ForLoading:
    """The registry as loading sees it: the loader that the configuration names goes before that of version.json."""

    def __init__(self, registry: Registry, settings: Current) -> None:
        self._registry = registry
        self._settings = settings

    def components(self) -> list[str]:
        """As the registry."""
        return self._registry.components()

    def versions(self, component: str) -> list[Entry]:
        """As the registry."""
        return [self._named(entry) for entry in self._registry.versions(component)]

    def find(self, component: str, version: str = LATEST) -> Entry:
        """As the registry."""
        return self._named(self._registry.find(component, version))

    def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
        """As the registry."""
        return self._registry.mark(component, version, status, who, why)

    def log(self, component: str) -> list[StatusChange]:
        """As the registry."""
        return self._registry.log(component)

    def _named(self, entry: Entry) -> Entry:
        loader = section(self._settings(), entry.component).loader
        if loader is None or loader == entry.info.loader:
            return entry
        return replace(entry, info=entry.info.model_copy(update={"loader": loader}))


def section(settings: Settings, component: str) -> ComponentSection:
    """What is said of a component; the defaults for one of which nothing is said."""
    return settings.components.get(component) or ComponentSection()


def placement_in(settings: Current) -> Callable[[Entry], Placement]:
    """Where a version is loaded to, as the settings say at that moment."""
    return lambda entry: section(settings(), entry.component).placement(entry.version)


def checks_in(settings: Current) -> tuple[Check, ...]:
    """What every load must pass: environment, integrity, no pickles; as each component's section says."""

    def environment(entry: Entry) -> None:
        rule = section(settings(), entry.component).environment
        if rule == "off":
            return
        try:
            check_environment(f"{entry.component} {entry.version}", entry.info.environment)
        except EnvironmentMismatch as error:
            if rule == "strict":
                raise
            _log.warning("%s (the configuration lets it pass)", error)

    def no_code(entry: Entry) -> None:
        files = {file.path: entry.path / file.path for file in entry.info.files}
        refuse_pickles(files, section(settings(), entry.component).allow_pickles)

    return environment, Integrity(), no_code


def fallbacks_of(settings: Settings, given: Iterable[Loaded]) -> list[Loaded]:
    """What the service hands in, and what the configuration names: code that, called, gives a declared fallback."""
    found: Mapping[str, Loaded] = {each.component: each for each in given}
    named = {name: each.fallback for name, each in settings.components.items() if each.fallback is not None}
    return [*found.values(), *(_fallback(name, code) for name, code in named.items() if name not in found)]


def _fallback(component: str, reference: str) -> Loaded:
    code = installed(reference)
    try:
        made = code() if callable(code) else code
    except Exception as error:
        raise ConfigError(f"components.{component}.fallback: {reference} raised {error!r}") from error
    if not isinstance(made, Loaded) or not made.fallback or made.component != component:
        raise ConfigError(
            f"components.{component}.fallback: {reference} declares no fallback of {component}",
            "name a function that returns modelhost.serving.fallback.fallback(…)",
        )
    return made
