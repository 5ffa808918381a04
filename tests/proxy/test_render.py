"""nginx text from manifests. UPDATE_GOLDEN=1 writes the golden files anew."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.config.manifest import Manifest
from release.errors import ProxyError
from release.proxy import render
from release.proxy.render import Layout, Rendered

GOLDEN = Path(__file__).parent / "golden"
LAYOUT = Layout(Path("/var/lib/release/translator"), "0123456789abcdef", "www-data www-data")
Renderer = Callable[[Manifest, Layout], Rendered]


def manifest(service: str = "translator", environment: str | None = None, **proxy: Any) -> Manifest:
    return Manifest.model_validate(
        {"service": service, "environment": environment, "container": {"port": 5000}, "proxy": proxy}
    )


CASES: dict[str, tuple[Renderer, Manifest]] = {
    "managed.conf": (render.managed, manifest()),
    "managed-sticky.conf": (
        render.managed,
        manifest("my-app", "staging", sticky="cookie:session-id", address="::", max_body="1m", stream_timeout="10m"),
    ),
    "included.conf": (
        render.included,
        manifest(
            kind="included", include="/etc/nginx/conf.d/x.conf", server_name="a.example b.example", sticky="address"
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_text_is_the_one_that_was_agreed_on(name: str) -> None:
    renderer, of = CASES[name]
    text = renderer(of, LAYOUT).text
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_nginx_accepts_it(name: str, tmp_path: Path) -> None:
    renderer, of = CASES[name]
    layout = Layout(tmp_path, "0123456789abcdef")
    (tmp_path / "nginx" / "logs").mkdir(parents=True)
    (tmp_path / "nginx" / "tmp").mkdir()
    (tmp_path / "traffic").mkdir()
    text = renderer(of, layout).text
    if renderer is render.included:
        text = f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{text}\n}}\n"
    (tmp_path / "nginx.conf").write_text(text)
    done = subprocess.run(
        ["nginx", "-e", "stderr", "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_two_environments_of_one_service_fit_into_one_nginx(tmp_path: Path) -> None:
    texts = []
    for number, (service, environment) in enumerate([("my-app", None), ("my-app", "staging"), ("app", None)]):
        state = tmp_path / str(number)
        (state / "nginx" / "logs").mkdir(parents=True)
        of = manifest(service, environment, kind="included", include="/x", listen=8080 + number, sticky="header:X-User")
        texts.append(render.included(of, Layout(state, "0123456789abcdef")).text)
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{''.join(texts)}\n}}\n")
    done = subprocess.run(["nginx", "-e", "stderr", "-t", "-c", str(conf)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "conflicting" not in done.stderr


def test_the_hash_changes_with_the_text_and_is_found_in_it_again() -> None:
    one, same = render.managed(manifest(), LAYOUT), render.managed(manifest(), LAYOUT)
    other = render.managed(manifest(max_body="1m"), LAYOUT)
    assert one == same
    assert one.config != other.config
    assert render.config_of(one.text) == one.config
    assert render.config_of("") == ""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 65535), st.integers(1, 1 << 40), st.floats(0.001, 1e6), st.sampled_from(["0.0.0.0", "::1"]))
def test_braces_and_quotes_are_balanced_whatever_the_manifest_says(
    port: int, body: int, timeout: float, address: str
) -> None:
    text = render.managed(manifest(listen=port, max_body=body, read_timeout=timeout, address=address), LAYOUT).text
    code = "\n".join(line for line in text.splitlines() if not line.strip().startswith("#"))
    assert code.count("{") == code.count("}")
    assert code.count('"') % 2 == 0
    assert "@config@" not in text


@pytest.mark.parametrize(
    "state", ["relative", "/with$dollar", '/with"quote', "/with;semicolon", "/with\nnewline", "/a{b"]
)
def test_a_state_directory_that_nginx_cannot_name_is_refused(state: str) -> None:
    with pytest.raises(ProxyError, match="cannot take the state directory"):
        Layout(Path(state), "salt")


@pytest.mark.parametrize("proxy", [{"server_name": "a; }"}, {"server_name": ""}, {"address": "localhost"}])
def test_what_would_be_another_directive_is_refused(proxy: dict[str, str]) -> None:
    with pytest.raises(ProxyError):
        render.managed(manifest(**proxy), LAYOUT)


def test_a_stream_may_be_silent_as_long_as_it_is_allowed_to_last() -> None:
    text = render.managed(manifest(read_timeout="60s", stream_timeout="1h"), LAYOUT).text
    assert "proxy_read_timeout 3600000ms;" in text
    assert "worker_shutdown_timeout 3610s;" in text
