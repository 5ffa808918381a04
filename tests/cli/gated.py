"""A folder in which `release models promote` finds a manifest with a quality gate, and the gate's benchmark set; what
happens while the gate asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from release.checks.quality import QualityCheck
from release.verdict import Verdict
from tests.support.translating import CASES

_MANIFEST = """\
service: shop
container: {port: 5000}
models: {url: "URL", token: "env:OPERATOR"MORE}
checks:
  quality:
    cases: cases.jsonl
    request: {path: /translate, json: {text: "{source}"}}
    answer: translation
    metrics: {chrf: {floor: 30, margin: 2.0}}
    resamples: 100
"""


def gate(folder: Path, url: str, more: str = "") -> None:
    """Of the service at `url`, whose token is in the variable OPERATOR; `more` keys of the section `models`."""
    lines = (json.dumps({"source": source, "reference": reference}) + "\n" for source, reference in CASES)
    (folder / "cases.jsonl").write_text("".join(lines))
    (folder / "release.yaml").write_text(_MANIFEST.replace("URL", url).replace("MORE", more))


def after_asking(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """`act` happens when the gate has asked everything, and before it is acted upon."""
    asking = QualityCheck.run

    def asked(self: QualityCheck, subject: object) -> Verdict:
        verdict = asking(self, subject)  # type: ignore[arg-type]
        act()
        return verdict

    monkeypatch.setattr(QualityCheck, "run", asked)
