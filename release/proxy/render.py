"""nginx's configuration as text: manifest and paths in, text out. Nothing is read, written or started here."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from release import naming
from release.config.manifest import Manifest
from release.config.proxy import HOST_NAMES
from release.errors import ProxyError
from release.proxy.address import listen
from release.proxy.base import Traffic
from release.proxy.shares import BUCKETS

TEMPLATES = Path(__file__).parent / "templates"
_CONFIG = "@config@"
_PLAIN_PATH = re.compile(r"^/[A-Za-z0-9 ._/@+,~=:-]*$")  # nginx has no way to quote `$` in a path


@dataclass(frozen=True)
class Layout:
    """Where the nginx of one state directory keeps its things, and as whom it runs.

    `salt` goes into the hash that deals clients to buckets; `user` is None where nginx cannot change its user.
    """

    state: Path
    salt: str
    user: str | None = None
    workers: int = 4

    def __post_init__(self) -> None:
        if not _PLAIN_PATH.fullmatch(str(self.state)):
            raise ProxyError(
                f"nginx cannot take the state directory {str(self.state)!r}",
                hint="choose an absolute path of letters, digits, spaces and ._/@+,~=:- with --state",
            )

    @property
    def traffic(self) -> Path:
        return self.state / "traffic"

    @property
    def directory(self) -> Path:
        return self.state / "nginx"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"


@dataclass(frozen=True)
class Rendered:
    """`config` is the hash that the live configuration answers with; it covers all of `text` but itself."""

    text: str
    config: str


def managed(manifest: Manifest, layout: Layout) -> Rendered:
    """A whole nginx.conf."""
    proxy = manifest.proxy
    longest = max(proxy.read_timeout, proxy.stream_timeout or 0.0)
    text = _fill(
        "managed.conf.j2",
        scope=manifest.scope,
        layout=layout,
        shutdown_timeout=f"{math.ceil(longest) + 10}s",
        service=_indent(_service(manifest, layout, "traffic/")),
    )
    return _signed(text)


def included(manifest: Manifest, layout: Layout) -> Rendered:
    """A file for the http block of another nginx."""
    return _signed(
        _fill("included.conf.j2", scope=manifest.scope, service=_service(manifest, layout, f"{layout.traffic}/"))
    )


def rewritten(manifest: Manifest, layout: Layout, traffic: Traffic | None) -> Rendered:
    """The file with `upstream <service>`, for all of the traffic on one slot, or None for none."""
    slot = traffic.live if traffic is not None else None
    said = {"green": traffic.green, "owner": traffic.owner} if traffic is not None else None
    text = _fill(
        "rewrite.conf.j2",
        id=naming.nginx_identifier(manifest.scope),
        scope=manifest.scope,
        upstream=manifest.service,
        layout=layout,
        config=_CONFIG,
        slot=str(slot) if slot is not None else "none",
        port=manifest.slots.port(slot) if slot is not None else None,
        traffic=json.dumps(said),
        admin=manifest.proxy.admin_port,
    )
    return _signed(text)


def sticky_key(sticky: str, variable: str) -> tuple[str, str] | None:
    """Source and entries of the `map` that finds a client's key, empty for a client without; None for `none`.

    `header:X-User` → `$http_x_user`, `default $http_x_user;`. `variable` is a name free for a cookie's value.
    """
    kind, _, name = sticky.partition(":")
    if kind == "none":
        return None
    if kind == "cookie":  # `$cookie_NAME` cannot take a dash in the name
        return "$http_cookie", f'"~(?:^|;) ?{name}=(?<{variable}>[^;]+)" ${variable};'
    source = "$remote_addr" if kind == "address" else "$http_" + name.lower().replace("-", "_")
    return source, f"default {source};"


def _service(manifest: Manifest, layout: Layout, flags: str) -> str:
    """The part for an http block; `flags` is what the flag tree's path begins with."""
    proxy = manifest.proxy
    if not HOST_NAMES.fullmatch(proxy.server_name):
        raise ProxyError(
            f"proxy.server_name {proxy.server_name!r} is no list of host names", hint="write names with spaces between"
        )
    identifier = naming.nginx_identifier(manifest.scope)
    return _fill(
        "service.conf.j2",
        id=identifier,
        scope=manifest.scope,
        layout=layout,
        flags=flags,
        config=_CONFIG,
        slots={str(slot): manifest.slots.port(slot) for slot in naming.Slot},
        public=listen(proxy.address, proxy.listen),
        admin=proxy.admin_port,
        server_name=proxy.server_name,
        sticky=proxy.sticky,
        key=sticky_key(proxy.sticky, f"{identifier}_cookie"),
        buckets=_rows(BUCKETS, "0.1%", "{}"),
        bytes=_rows(256, "0.39%", "{:02x}"),
        max_body=proxy.max_body,
        read_timeout=_milliseconds(max(proxy.read_timeout, proxy.stream_timeout or 0.0)),
    )


def _rows(count: int, percent: str, name: str) -> list[str]:
    """Lines of a `split_clients` block with `count` equal parts; the last one takes what rounding leaves."""
    entries = [f"{percent} {name.format(number)};" for number in range(count - 1)] + [f"* {name.format(count - 1)};"]
    return [" ".join(entries[start : start + 10]) for start in range(0, count, 10)]


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def config_of(text: str) -> str:
    """The hash in a rendered text, whatever manifest it was rendered from; empty where there is none."""
    found = re.search(r'"config":"([0-9a-f]{16})"', text)
    return found[1] if found else ""


def addresses(text: str) -> list[tuple[str, int]]:
    """Where a rendered text listens; the last one is its admin location."""
    found = re.findall(r"^\s*listen (\S+):(\d+);", text, re.MULTILINE)
    return [(address.strip("[]"), int(port)) for address, port in found]


def slot_ports(text: str) -> dict[naming.Slot, int]:
    """The port at which a rendered text looks for each slot; a rewritten upstream knows the one that serves."""
    both = re.findall(r"^\s*upstream \S+_(blue|green) { server 127\.0\.0\.1:(\d+) ", text, re.MULTILINE)
    slot = re.search(r'"slot":"(blue|green)"', text)
    port = re.search(r"^    server 127\.0\.0\.1:(\d+) max_fails", text, re.MULTILINE)
    one = [(slot[1], port[1])] if slot and port and not both else []
    return {naming.Slot(name): int(number) for name, number in both or one}


def alone(rendered: Rendered, directory: Path, pid: Path) -> str:
    """A whole configuration around a text for somebody else's http block, for `nginx -t` and nothing more."""
    places = "".join(
        f'    {kind}_temp_path "{directory}/tmp/{name}";\n'
        for kind, name in (("client_body", "body"), *((n, n) for n in ("proxy", "fastcgi", "uwsgi", "scgi")))
    )
    head = f'pid "{pid}";\nerror_log stderr error;\nevents {{}}\nhttp {{\n{places}    variables_hash_max_size 2048;\n'
    return f"{head}{rendered.text}}}\n"


def as_it_was(text: str) -> Rendered:
    """A rendered text that was read back."""
    return Rendered(text, config_of(text))


def retold(text: str, traffic: Traffic | None) -> Rendered | None:
    """A `rewritten` text that was read back, with `traffic` as what serves; None where that is on the other slot."""
    first = text.partition("\n")[0].removeprefix("# release ")
    then = json.loads(first)
    if then is None or traffic is None:
        return as_it_was(text) if then == traffic else None
    if Traffic(then["green"], then["owner"]).live is not traffic.live:
        return None
    now = json.dumps({"green": traffic.green, "owner": traffic.owner})
    return _signed(text.replace(first, now).replace(config_of(text), _CONFIG))


def _signed(text: str) -> Rendered:
    config = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Rendered(text.replace(_CONFIG, config), config)


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" if line.strip() else "" for line in text.splitlines())


def _fill(template: str, **values: Any) -> str:
    return str(_environment().get_template(template).render(**values)).rstrip() + "\n"


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
