"""From the first moment to the last: loading, refusing to start, SIGTERM."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from tests.support.ports import free_port
from tests.translator.running import ROOT, Running, Start
from translator.settings import Settings

MODEL = Settings.from_environment({}).model_dir


def test_health_is_503_until_the_model_has_translated(start: Start) -> None:
    seen: list[tuple[int, str]] = []
    for _ in range(5):  # a busy machine may keep this process while the other one loads
        running = start()
        if len(seen := watched(running)) > 1:
            break
    assert set(seen[:-1]) == {(503, "loading")}
    assert seen[-1] == (200, "ok")
    assert httpx.post(f"{running.url}/translate", json={"text": "你好。"}, timeout=60).status_code == 200


def watched(running: Running) -> list[tuple[int, str]]:
    """What its health was, look by look, until it was well."""
    seen: list[tuple[int, str]] = []
    while not seen or seen[-1][0] != 200:
        assert running.process.poll() is None
        try:
            answer = httpx.get(f"{running.url}/health", timeout=10)
        except httpx.TransportError:
            continue
        seen.append((answer.status_code, answer.json()["status"]))
        if answer.status_code == 503:
            early = httpx.post(f"{running.url}/translate", json={"text": "你好。"}, timeout=60)
            assert early.status_code in (200, 503)  # it may become ready in between
            assert early.status_code == 200 or early.json()["error"]["code"] == "loading"
        time.sleep(0.05)
    return seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_what_has_begun_is_answered(start: Start, number: signal.Signals) -> None:
    running = start()
    running.wait_until_ready()
    body = json.dumps({"text": ["我们明天早上去北京，下午回来，晚上一起吃饭。" * 5] * 60}).encode()
    port = int(running.url.rsplit(":", 1)[1])
    idle = socket.create_connection(("127.0.0.1", port))
    begun = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    begun.putrequest("POST", "/translate")
    for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
        begun.putheader(name, value)
    begun.putheader("Expect", "100-continue")
    begun.endheaders()
    assert begun.sock.recv(1000).split()[1] == b"100"  # the service has the request, and reads
    begun.send(body)
    running.process.send_signal(number)
    answer = begun.getresponse()
    assert answer.status == 200
    assert len(json.loads(answer.read())["translation"]) == 60
    assert running.process.wait(60) == 0
    begun.close()
    idle.close()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{running.url}/health", timeout=60)


EARLY = """
import os, signal, sys, uvicorn
from translator.__main__ import main
load = uvicorn.Config.load
def interrupted(config):
    os.kill(os.getpid(), signal.SIGTERM)
    load(config)
uvicorn.Config.load = interrupted
sys.exit(main())
"""


def test_a_signal_before_it_listens_is_not_lost() -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HOST": "127.0.0.1", "PORT": str(free_port())}
    done = subprocess.run([sys.executable, "-c", EARLY], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_unknown_directory_ends_it_at_once_with_a_reason(start: Start, tmp_path: Path) -> None:
    running = start(MODEL_DIR=str(tmp_path / "nothing"))
    output, _ = running.process.communicate(timeout=300)
    assert running.process.returncode == 2
    assert "is not a Marian model directory" in output


def test_pickled_weights_are_refused_unless_allowed(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(MODEL, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    output, _ = start(MODEL_DIR=str(folder)).process.communicate(timeout=300)
    assert "TRANSLATOR_ALLOW_PICKLE=1" in output


def test_weights_cut_short_end_it_with_a_reason(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(MODEL, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000_000])
    running = start(MODEL_DIR=str(folder))
    output, _ = running.process.communicate(timeout=300)
    assert running.process.returncode == 1
    assert "cannot be converted" in output and str(folder) in output


def test_a_model_in_a_folder_of_any_name_is_answered_with_and_asked_for_by_that_name(
    start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "我的 模型"
    shutil.copytree(MODEL, folder)
    running = start(MODEL_DIR=str(folder))
    running.wait_until_ready()
    (offered,) = httpx.get(f"{running.url}/versions", timeout=60).json()["versions"]
    assert offered["version"] == folder.name
    for asked in (None, offered["version"]):
        answer = httpx.post(
            f"{running.url}/translate", params={"version": asked} if asked else {}, json={"text": "你好"}, timeout=60
        )
        assert (answer.status_code, answer.json()["model_version"]) == (200, folder.name), answer.text
        assert unquote(answer.headers["X-Model-Version"]) == folder.name
    other = {"q": "你好", "source": "zh", "target": "en"}
    answer = httpx.post(f"{running.url}/libretranslate/translate", json=other, timeout=60)
    assert (answer.status_code, unquote(answer.headers["X-Model-Version"])) == (200, folder.name), answer.text
    page = httpx.get(running.url, timeout=60)
    assert (page.status_code, unquote(page.headers["X-Model-Version"])) == (200, folder.name)
