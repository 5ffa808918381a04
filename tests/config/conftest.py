"""Manifests as text, and what their mistakes are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from release.config.load import parse
from release.config.manifest import Manifest
from release.errors import ManifestError

MINIMAL = "service: translator\ncontainer: {port: 5000}\n"


@pytest.fixture
def manifest_of() -> Callable[..., Manifest]:
    """Parses text, or the minimal manifest with more lines, to a Manifest."""

    def build(more: str = "", *, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None):
        text = more if "service:" in more else MINIMAL + more
        return parse(text, "release.yaml", environ=environ or {}, overrides=flags)[0]

    return build


@pytest.fixture
def mistake_of(manifest_of: Callable[..., Manifest]) -> Callable[..., str]:
    """Parses text that is not usable; gives the error's text."""

    def build(more: str, **given: Mapping[str, str]) -> str:
        with pytest.raises(ManifestError) as caught:
            manifest_of(more, **given)
        assert caught.value.hint
        assert caught.value.exit_code == 2
        return str(caught.value)

    return build
