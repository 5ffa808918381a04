"""Rules between sections of a manifest, after each section is valid by itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from release.config.complaint import Complaint, shown
from release.config.manifest import Manifest
from release.config.proxy import HOST_NAMES


def crosscheck(manifest: Manifest) -> list[Complaint]:
    """Every rule that does not hold, each at the key that is easiest to change."""
    return [*_ports(manifest), *_proxy(manifest), *_container(manifest), *_registry(manifest), *_quality(manifest)]


def _ports(manifest: Manifest) -> Iterator[Complaint]:
    taken: dict[int, str] = {}
    for key, port in (
        ("slots.blue", manifest.slots.blue),
        ("slots.green", manifest.slots.green),
        ("proxy.listen", manifest.proxy.listen),
        ("proxy.admin", manifest.proxy.admin_port),
    ):
        if port in taken:
            yield Complaint(tuple(key.split(".")), f"is {port}, which {taken[port]} takes already; choose another")
        taken.setdefault(port, key)


def _proxy(manifest: Manifest) -> Iterator[Complaint]:
    """Here, and not at the fields: a release that was deployed with such a value all the same can still be read."""
    names, address = manifest.proxy.server_name, manifest.proxy.address
    if not HOST_NAMES.fullmatch(names):
        text = f"is {shown(names)}, no list of host names; write names with one space between, or _ for every name"
        yield Complaint(("proxy", "server_name"), text)
    try:
        ipaddress.ip_address(address)
    except ValueError:
        text = f"is {shown(address)}, no IP address; write one of this host's, or 0.0.0.0 for all of them"
        yield Complaint(("proxy", "address"), text)


def _container(manifest: Manifest) -> Iterator[Complaint]:
    for name in sorted(manifest.container.secrets.keys() & manifest.container.env.keys()):
        yield Complaint(("container", "secrets", name), "stands under container.env too; keep the one that is meant")


def _registry(manifest: Manifest) -> Iterator[Complaint]:
    if not manifest.registry.push:
        return
    if manifest.engine.kind == "process":
        yield Complaint(("registry", "push"), "needs `engine: {kind: docker}`; a process engine has no images to push")
    if manifest.image is None:
        yield Complaint(("registry", "push"), "needs `image`, such as registry.example.com/team/app")


def _quality(manifest: Manifest) -> Iterator[Complaint]:
    if manifest.checks.quality is None:
        return
    import jmespath  # here, since most commands never look

    try:
        jmespath.compile(manifest.checks.quality.answer)
    except jmespath.exceptions.JMESPathError as error:
        reason = str(error).splitlines()[0]
        yield Complaint(("checks", "quality", "answer"), f"is no JMESPath expression: {reason}")
