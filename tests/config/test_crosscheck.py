"""Rules between sections."""

from __future__ import annotations

import pytest

QUALITY = "checks: {quality: {cases: a, request: {}, answer: '%s', metrics: {bleu: {}}}}\n"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("proxy: {listen: 8102}\n", "proxy.listen is 8102, which slots.green takes already"),
        ("slots: {blue: 18080}\n", "proxy.admin is 18080, which slots.blue takes already"),
        ("proxy: {listen: 80, admin: 80}\n", "proxy.admin is 80, which proxy.listen takes already"),
        ("registry: {push: true}\n", "registry.push needs `image`"),
        ("image: a/b\nregistry: {push: true}\nengine: {kind: process}\n", "has no images to push"),
        ("service: a\ncontainer: {port: 1, env: {K: a}, secrets: {K: env:K}}\n", "stands under container.env too"),
        ("proxy: {server_name: 'a; }'}\n", 'proxy.server_name is "a; }", no list of host names; write names'),
        ("proxy: {server_name: ''}\n", 'proxy.server_name is "", no list of host names; write names'),
        ("proxy: {address: localhost}\n", 'proxy.address is "localhost", no IP address; write one'),
        (QUALITY % "a[", "checks.quality.answer is no JMESPath expression"),
    ],
)
def test_what_does_not_fit_together_is_refused(mistake_of, more: str, words: str) -> None:
    assert words in mistake_of(more)


def test_what_fits_together_is_accepted(manifest_of) -> None:
    assert manifest_of(QUALITY % "result.texts[0]").checks.quality.answer == "result.texts[0]"
    assert manifest_of("proxy: {server_name: 'a.example *.b.example', address: '::'}\n").proxy.address == "::"
    assert manifest_of("image: r.example.com/a/b\nregistry: {push: true}\n").registry.push is True


def test_the_admin_port_stays_a_port() -> None:
    from release.config.proxy import Proxy

    assert Proxy(listen=60000).admin_port == 50000
    assert Proxy(listen=80).admin_port == 10080
