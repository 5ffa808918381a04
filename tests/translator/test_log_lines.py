"""An experiment: a request's line in the log, and the thumb for its answer, name the version and the variant."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from tests.translator.running import Start
from translator import bundle
from translator.settings import MODELS, model_folders

CONFIGURATION = """
registry: {root: registry}
components:
  model: {fallback: "translator.fallback:dictionary"}
  tokenizer: {}
  postprocessing: {}
sets: {translation: [model, tokenizer, postprocessing]}
routing:
  translation:
    weights: {name: AB, variants: {treatment: {version: stable, share: 100%}}}
"""


def test_the_line_of_a_request_and_its_thumb_name_version_and_variant(start: Start, tmp_path: Path) -> None:
    folders = model_folders(MODELS)[-1:]
    bundle.fill(tmp_path / "registry", folders)
    bundle.mark_stable(tmp_path / "registry", folders, "a test")
    (tmp_path / "modelhost.yaml").write_text(CONFIGURATION)
    running = start(
        TRANSLATOR_CONFIG=str(tmp_path / "modelhost.yaml"), LOG_LEVEL="debug", TRANSLATOR_STATE=str(tmp_path)
    )
    running.wait_until_ready()
    answer = httpx.post(f"{running.url}/translate", json={"text": "你好。"}, timeout=60)
    asked = {"q": "你好。", "source": "zh", "target": "en"}
    other = httpx.post(f"{running.url}/libretranslate/translate", json=asked, timeout=60)
    assert (answer.headers["X-Model-Variant"], other.headers["X-Model-Variant"]) == ("AB:treatment", "AB:treatment")
    for each in (answer.json()["request_id"], other.headers["X-Request-Id"]):
        assert httpx.post(f"{running.url}/feedback", json={"request_id": each, "thumb": "up"}, timeout=60).is_success
    thumbs = [json.loads(line) for line in (tmp_path / "feedback.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["version"], line["variant"]) for line in thumbs] == [(folders[0].name, "AB:treatment")] * 2
    running.process.terminate()
    output, _ = running.process.communicate(timeout=300)
    version = folders[0].name.removeprefix("v")
    lines = re.findall(r'^INFO: +(.*?)127\.0\.0\.1:\d+ - "(\S+ \S+) HTTP', output, re.MULTILINE)
    marked = f"[{version}] [AB:treatment] "
    assert set(lines) == {
        (marked, "POST /translate"),
        (marked, "POST /libretranslate/translate"),
        ("", "GET /health"),
        ("", "POST /feedback"),
    }
