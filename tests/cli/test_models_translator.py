"""`release models promote --together` on the bundled translator as it runs: a model with a vocabulary of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from modelhost.http import tokens
from modelhost.http.roles import Role
from release.ledger.store import Ledger
from release.verdict import Outcome
from tests.cli.calling import Call
from tests.translator.running import ROOT, Running, launch
from translator import bundle
from translator.settings import MODELS

WHY = ("--reason", "for a test")
SENTENCE = "今天天气很好。"
OLD, NEW = ({"model": version, "tokenizer": version} for version in ("1.1.0", "1.2.0"))


@pytest.fixture
def translator(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """v1.1.0 serves alone, and a manifest names the service, its token and a benchmark set."""
    registry, file = tmp_path / "registry", tmp_path / "tokens.jsonl"
    bundle.fill(registry, [MODELS / "v1.1.0"])
    bundle.mark_stable(registry, [MODELS / "v1.1.0"], "for a test")
    monkeypatch.setenv("OPERATOR", tokens.add(file, "ann", Role.OPERATOR))
    running = launch(
        TRANSLATOR_REGISTRY=str(registry), TRANSLATOR_TOKENS=str(file), TRANSLATOR_STATE=str(tmp_path / "kept")
    )
    cases = (MODELS.parent / "evaluation" / "zh-en.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "here" / "cases.jsonl").write_text("".join(cases[:24]), "utf-8")
    (tmp_path / "here" / "release.yaml").write_text(
        f"""\
service: translator
container: {{port: 5000}}
models: {{url: "{running.url}", token: "env:OPERATOR"}}
checks:
  quality:
    cases: cases.jsonl
    request: {{path: /translate, json: {{text: "{{source}}"}}}}
    answer: translation
    metrics: {{chrf: {{floor: 15, margin: 2.0}}}}
    resamples: 100
"""
    )
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def published(registry: Path, folder: Path, shift: int) -> None:
    """The weights of v1.1.0 with another vocabulary, whose pieces stand `shift` places further on; into the registry of
    the service that runs."""
    shutil.copytree(MODELS / "v1.1.0", folder)
    pieces = json.loads((folder / "vocab.json").read_text("utf-8"))
    words = [piece for piece in pieces if piece not in ("</s>", "<unk>", "<pad>")]
    moved = dict(zip(words, [pieces[word] for word in words[shift:] + words[:shift]], strict=True))
    (folder / "vocab.json").write_text(json.dumps(pieces | moved, indent=1), "utf-8")
    command = [sys.executable, "-m", "translator.bundle", str(registry), "--models", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)


def answered(running: Running) -> tuple[str, dict[str, str]]:
    """What a user gets, and which versions made it."""
    answer = requests.post(f"{running.url}/translate", json={"text": SENTENCE}, timeout=60)
    named = dict(each.split("=") for each in answer.headers["X-Model-Set"].split(", "))
    return answer.json()["translation"], {name: named[name] for name in OLD}


def held(call: Call) -> dict[tuple[str, str], dict[str, Any]]:
    rows = json.loads(call("models", "list", "--json").out)["versions"]
    return {(row["component"], row["version"]): row for row in rows}


def test_a_model_with_its_own_vocabulary_passes_the_gate_and_serves_with_it_and_a_worse_pair_leaves_again(
    call: Call, translator: Running, tmp_path: Path
) -> None:
    registry = tmp_path / "registry"
    published(registry, tmp_path / "v1.2.0", 0)
    published(registry, tmp_path / "v1.3.0", 1)
    before = answered(translator)
    assert before[1] == OLD

    alone = call("models", "promote", "model", "1.2.0", *WHY)
    assert alone.code == 1 and "`release models promote model 1.2.0 --together` brings tokenizer 1.2.0" in alone.err

    worse = call("models", "promote", "model", "1.3.0", "--together", *WHY)
    assert worse.code == 1 and "quality refused it" in worse.err, worse.err
    assert answered(translator) == before
    left = [("model", "1.3.0"), ("tokenizer", "1.3.0")]
    deadline = time.monotonic() + 60
    while any(held(call)[name]["state"] != "UNAVAILABLE" for name in left):
        assert time.monotonic() < deadline, "it stayed in memory"
        time.sleep(0.1)

    done = call("models", "promote", "model", "1.2.0", "--together", *WHY, "--json")
    assert done.code == 0, done.err + done.out
    assert json.loads(done.out)["data"]["others"] == {"tokenizer": {"before": "1.1.0", "after": "1.2.0"}}
    assert answered(translator) == (before[0], NEW)
    with Ledger(tmp_path / "state" / "translator" / "ledger.db", readonly=True) as ledger:
        (verdict,) = ledger.verdicts(ledger.model_switches(limit=1)[0].id)
    assert verdict.outcome is Outcome.PASS and verdict.evidence["live"]["release"] == "model 1.1.0, tokenizer 1.1.0"

    assert call("models", "verify", "--full").code == 0
    back = call("models", "rollback", "model", "--together", *WHY)
    assert back.code == 0 and answered(translator) == before, back.err
