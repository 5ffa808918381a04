"""A folder in which `release models promote` finds a manifest with a quality gate, and the gate's benchmark set."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.translating import CASES

_MANIFEST = """\
service: shop
container: {port: 5000}
models: {url: "URL", token: "env:OPERATOR"}
checks:
  quality:
    cases: cases.jsonl
    request: {path: /translate, json: {text: "{source}"}}
    answer: translation
    metrics: {chrf: {floor: 30, margin: 2.0}}
    resamples: 100
"""


def gate(folder: Path, url: str) -> None:
    """Of the service at `url`, whose token is in the variable OPERATOR."""
    lines = (json.dumps({"source": source, "reference": reference}) + "\n" for source, reference in CASES)
    (folder / "cases.jsonl").write_text("".join(lines))
    (folder / "release.yaml").write_text(_MANIFEST.replace("URL", url))
