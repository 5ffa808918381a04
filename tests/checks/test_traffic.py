"""What is sent where users send too little, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from release.checks.traffic import sends
from release.config.manifest import Manifest

TEXT = {"path": "/translate", "json": {"text": "{source}"}}
QUALITY = {"cases": "set.jsonl", "answer": "translation", "metrics": {"bleu": {}}}


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ({"health": {"path": "/ready"}}, "GET /ready goes (the health path)"),
        ({"warmup": {"request": {"method": "GET", "path": "/page"}}}, "GET /page goes"),
        ({"quality": {**QUALITY, "request": TEXT}}, "the benchmark set goes (POST /translate)"),
    ],
)
def test_it_is_said_what_goes_through_the_public_listener(checks: dict[str, Any], said: str) -> None:
    manifest = Manifest.model_validate({"service": "shop", "container": {"port": 80}, "checks": checks})
    assert sends(manifest) == said
